"""Whether a served model is still as good as when it was registered."""

from __future__ import annotations

from components.grafana.dashboards.definition import Dashboard, Kind, Panel, Row, Unit, above, one

__all__ = ["DASHBOARD"]

MODEL = "{{model}} {{version}}"
FEATURE = f"{MODEL} {{{{feature}}}}"

WINDOW = Row(
    "The window",
    (
        Panel(
            "Predictions looked at",
            "Rows of the latest window. Every figure below is about these; with few of them it says little.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum by (model, version) (model_window_rows)", MODEL),
        ),
        Panel(
            "Of them with the truth",
            "Rows of the window whose true outcome is known. Performance and fairness rest on these.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum by (model, version) (model_window_labelled_rows)", MODEL),
        ),
        Panel(
            "Left out as probes",
            "Rows that test the server: ids of their requests begin with `probe-`. None of the figures"
            " below is about them.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum by (model, version) (model_window_probe_rows)", MODEL),
        ),
        Panel(
            "Delay of the truth",
            "Time from a prediction to the arrival of its true outcome.",
            Kind.STAT,
            Unit.SECONDS,
            one("max by (model, version) (model_label_delay_seconds)", MODEL),
        ),
        Panel(
            "Since the monitor's last success",
            "Age of the figures on this page. Old figures look as good as they did.",
            Kind.STAT,
            Unit.SECONDS,
            one("time() - max(model_monitor_last_success_timestamp_seconds)"),
            above(900, 3600),
        ),
        Panel(
            "Time of one look",
            "How long the monitor takes to measure everything that is served.",
            Kind.LINES,
            Unit.SECONDS,
            one("max(model_monitor_duration_seconds)", "all models"),
        ),
        Panel(
            "Looks that failed in the last hour",
            "Windows that could not be measured, by reason.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum by (reason) (increase(model_monitor_failures_total[1h]))", "{{reason}}"),
            above(1, 5),
        ),
    ),
)

INPUT = Row(
    "What comes in",
    (
        Panel(
            "Drift, of what is allowed",
            "Distance of each feature and of the prediction from the reference, divided by its threshold: 100 % and"
            " more is drift, whichever method measured it.",
            Kind.BARS,
            Unit.RATIO,
            one(
                "topk(15, max by (model, version, feature, method) (model_drift_score)"
                " / max by (model, version, feature, method) (model_drift_threshold))",
                f"{FEATURE} ({{{{method}}}})",
            ),
            above(0.8, 1),
        ),
        Panel(
            "Drift over time",
            "The same over time: a slow rise is the world changing, a step is a change of somebody's data.",
            Kind.LINES,
            Unit.RATIO,
            one(
                "topk(10, max by (model, version, feature) (model_drift_score)"
                " / max by (model, version, feature) (model_drift_threshold))",
                FEATURE,
            ),
            above(1),
        ),
        Panel(
            "Features that drifted",
            "Share of all features.",
            Kind.STAT,
            Unit.RATIO,
            one("max by (model, version) (model_drift_share)", MODEL),
            above(0.1, 0.5),
        ),
        Panel(
            "Does the prediction drift",
            "1 where the distribution of what the model answers has left the reference.",
            Kind.STAT,
            Unit.NUMBER,
            one('max by (model, version) (model_drift_detected{feature="prediction"})', MODEL),
            above(None, 1),
        ),
        Panel(
            "Values that are wrong",
            "Share of a feature's values that are missing, out of the reference's range, of another type or of an"
            " unknown category: the fifteen worst.",
            Kind.BARS,
            Unit.RATIO,
            one(
                "topk(15, max by (model, version, feature, check) (model_quality_ratio))",
                f"{FEATURE} {{{{check}}}}",
            ),
            above(0.01, 0.05),
        ),
    ),
)

OUTPUT = Row(
    "What comes out",
    (
        Panel(
            "Performance",
            "Metrics on the rows of the window whose truth is known. They lag by the delay of the truth.",
            Kind.LINES,
            Unit.SCORE,
            one("max by (model, version, metric) (model_performance)", f"{MODEL} {{{{metric}}}}"),
        ),
        Panel(
            "Calibration error",
            "How far predicted probabilities are from what happens: 0.1 means ten points off on average.",
            Kind.LINES,
            Unit.SCORE,
            one("max by (model, version) (model_calibration_error)", MODEL),
            above(0.05, 0.1),
        ),
        Panel(
            "Business",
            "What decisions were worth, as told to the prediction log.",
            Kind.LINES,
            Unit.SCORE,
            one("max by (model, version, metric) (model_business)", f"{MODEL} {{{{metric}}}}"),
        ),
        Panel(
            "Performance since training",
            "Each metric minus what it was on the rows that training had not seen. Errors (brier) are better when they"
            " fall, everything else when it rises.",
            Kind.BARS,
            Unit.SCORE,
            one(
                "max by (model, version, metric) (model_performance)"
                " - max by (model, version, metric) (model_performance_reference)",
                f"{MODEL} {{{{metric}}}}",
            ),
        ),
        Panel(
            "Feedback",
            "Mean of what users said of decisions, as told to the prediction log.",
            Kind.LINES,
            Unit.SCORE,
            one("max by (model, version, metric) (model_feedback)", f"{MODEL} {{{{metric}}}}"),
        ),
    ),
)

DASHBOARD = Dashboard(
    "quality",
    "Model quality",
    "Is a served model still as good as when it was registered?",
    (WINDOW, INPUT, OUTPUT),
)
