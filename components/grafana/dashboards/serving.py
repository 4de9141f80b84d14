"""Whether models answer, quickly and without errors, and what they say is written down."""

from __future__ import annotations

from components.grafana.dashboards.definition import (
    Dashboard,
    Kind,
    Level,
    Panel,
    Query,
    Row,
    Unit,
    above,
    below,
    one,
    words,
)

__all__ = ["DASHBOARD"]

MODEL = "model_name, model_version"


def latency(quantile: float, by: str = "") -> str:
    """Return the PromQL for a quantile of the time that models take."""
    return f"histogram_quantile({quantile}, sum by ({by}le) (rate(model_request_seconds_bucket[5m])))"


NOW = Row(
    "Now",
    (
        Panel(
            "Model servers",
            "Processes that serve a model and are scraped.",
            Kind.STAT,
            Unit.NUMBER,
            one("count(model_info)"),
            below(None, 1),
        ),
        Panel(
            "Requests per second",
            "Predictions asked for over the last five minutes, whatever the answer.",
            Kind.STAT,
            Unit.PER_SECOND,
            one("sum(rate(model_request_seconds_count[5m]))"),
        ),
        Panel(
            "Failed",
            "Share of requests that failed by the server's fault. Those it refused for what they ask do not count.",
            Kind.STAT,
            Unit.RATIO,
            one(
                '(sum(rate(model_request_seconds_count{outcome="failed"}[5m])) or vector(0))'
                " / sum(rate(model_request_seconds_count[5m]))"
            ),
            above(0.01, 0.05),
        ),
        Panel(
            "99 of 100 answer within",
            "99th percentile of the time from a decoded request to its answer, over all models. The way to the server"
            " is not in it.",
            Kind.STAT,
            Unit.SECONDS,
            one(latency(0.99)),
            above(0.5, 1),
        ),
    ),
)

MODELS = Row(
    "By model",
    (
        Panel(
            "Requests by model",
            "Requests per second by model, version and outcome: answered, refused (the request is wrong), failed.",
            Kind.LINES,
            Unit.PER_SECOND,
            one(
                f"sum by ({MODEL}, outcome) (rate(model_request_seconds_count[5m]))",
                "{{model_name}} {{model_version}} {{outcome}}",
            ),
        ),
        Panel(
            "Latency by model",
            "Median, 95th and 99th percentile of the time to an answer.",
            Kind.LINES,
            Unit.SECONDS,
            tuple(
                Query(latency(quantile, f"{MODEL}, "), f"{{{{model_name}}}} {{{{model_version}}}} p{quantile * 100:g}")
                for quantile in (0.5, 0.95, 0.99)
            ),
        ),
        Panel(
            "Failed, by window",
            "Share of requests that failed over an hour and over six: what the alerts on the error budget compare with"
            " the objective.",
            Kind.LINES,
            Unit.RATIO,
            tuple(
                Query(
                    f"model:request_failures:ratio_rate{window}", f"{{{{model_name}}}} {{{{model_version}}}} {window}"
                )
                for window in ("1h", "6h")
            ),
            above(0.01, 0.05),
        ),
        Panel(
            "CPU of model servers",
            "Cores that the model's own process uses, averaged over five minutes.",
            Kind.LINES,
            Unit.CORES,
            one(
                'sum by (pod) (rate(container_cpu_usage_seconds_total{container="kserve-container"}[5m]))',
                "{{pod}}",
            ),
        ),
        Panel(
            "Memory of model servers",
            "Working set of the model's own process.",
            Kind.LINES,
            Unit.BYTES,
            one('sum by (pod) (container_memory_working_set_bytes{container="kserve-container"})', "{{pod}}"),
        ),
        Panel(
            "What is served",
            "Every model server with the version, run and digest that it loaded; the number of servers of each.",
            Kind.TABLE,
            Unit.NUMBER,
            one(
                f"count by ({MODEL}, run_id, digest) (model_info)", "{{model_name}} {{model_version}} of run {{run_id}}"
            ),
        ),
    ),
)

LOG = Row(
    "Prediction log",
    (
        Panel(
            "Events",
            "Requests and answers that arrive at the log, by kind and what became of them.",
            Kind.LINES,
            Unit.PER_SECOND,
            one("sum by (kind, outcome) (rate(prediction_log_events_total[5m]))", "{{kind}} {{outcome}}"),
        ),
        Panel(
            "Waiting for the database",
            "Events that are safe on disk and not yet in the database. It falls back to about zero by itself; growing"
            " means that the database is away or too slow.",
            Kind.LINES,
            Unit.NUMBER,
            one("sum(prediction_log_spooled_events)", "events"),
            above(1000, 10000),
        ),
        Panel(
            "Oldest that waits",
            "Age of the oldest event that is not yet in the database: how far behind reports and audits are.",
            Kind.STAT,
            Unit.SECONDS,
            one("max(prediction_log_spool_oldest_seconds)"),
            above(60, 600),
        ),
        Panel(
            "Time to make an event safe",
            "99th percentile of the time until an event is on disk, which is what an acknowledgement waits for.",
            Kind.STAT,
            Unit.SECONDS,
            one("histogram_quantile(0.99, sum by (le) (rate(prediction_log_append_seconds_bucket[5m])))"),
            above(0.1, 1),
        ),
        Panel(
            "Rows stored per second",
            "Rows of predictions that reach the database.",
            Kind.STAT,
            Unit.PER_SECOND,
            one("sum(rate(prediction_log_stored_rows_total[5m]))"),
        ),
        Panel(
            "Disk of the log",
            "Share of the spool's room in use. At 100 % events are refused; serving goes on.",
            Kind.STAT,
            Unit.RATIO,
            one("max(prediction_log_spool_bytes / prediction_log_spool_limit_bytes)"),
            above(0.5, 0.9),
        ),
        Panel(
            "Refused in the last hour",
            "Events and truths that the log did not take: they are wrong, or it has no room.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum(increase(prediction_log_refused_total[1h])) or vector(0)"),
            above(1, 100),
        ),
        Panel(
            "Failed writes in the last hour",
            "Attempts to move events into the database that failed. They are made again and nothing is lost; again and"
            " again means that the database has no room or no connection left.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum(increase(prediction_log_write_failures_total[1h]))"),
            above(1, 100),
        ),
        Panel(
            "Truths without a prediction",
            "Labels and feedback whose request is not in the log: too early, or about something else.",
            Kind.STAT,
            Unit.NUMBER,
            one("max(prediction_log_unmatched_truths)"),
        ),
        Panel(
            "Database of the log",
            "Whether the log reaches its database. Away, nothing is lost as long as the disk has room.",
            Kind.STAT,
            Unit.STATE,
            one("min(prediction_log_database_up)"),
            words=words(reached=(1, Level.GOOD), away=(0, Level.BAD)),
        ),
    ),
)

DASHBOARD = Dashboard(
    "serving",
    "Serving",
    "Do models answer, quickly and without errors, and is what they say written down?",
    (NOW, MODELS, LOG),
)
