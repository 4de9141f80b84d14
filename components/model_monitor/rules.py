"""Whether models still see what they were made for, still decide well and fairly, and whether anybody looks."""

from __future__ import annotations

from components._core.rules import Alert, Group
from components.model_monitor.config import Limits

__all__ = ["groups"]

VERSION = "model, version"

WHO = "Model {{ $labels.model }} version {{ $labels.version }}"

STALE = 15 * 60
"""Seconds after which a measurement is overdue."""

TRAINED = "(model_fairness - model_fairness_drift)"
"""Fairness at training."""


def groups(limits: Limits | None = None) -> list[Group]:
    """Return the alerts; without limits, with their defaults."""
    limits = limits or Limits()
    data, performance, fairness = _data(limits), [_performance(limits)], _fairness(limits)
    return [
        Group("data", data),
        Group("performance", performance),
        Group("fairness", fairness),
        Group("programs", [_at_once([*data, *performance, *fairness])]),
        Group("monitor", _monitor()),
    ]


def _data(limits: Limits) -> list[Alert]:
    return [
        Alert(
            "DataQuality",
            f"max by ({VERSION}, feature, check) (model_quality_ratio) > {limits.quality}",
            "2m",
            "warning",
            f"{WHO}: {{{{ $value | humanizePercentage }}}} of {{{{ $labels.feature }}}}"
            " is not as at training ({{ $labels.check }}).",
            "models",
        ),
        Alert(
            "FeatureDrift",
            f'max by ({VERSION}, feature) (model_drift_detected{{feature!="prediction"}}) == 1',
            "1m",
            "warning",
            f"{WHO}: {{{{ $labels.feature }}}} is distributed otherwise than at training.",
            "models",
        ),
        Alert(
            "PredictionDrift",
            f'max by ({VERSION}) (model_drift_detected{{feature="prediction"}}) == 1',
            "1m",
            "warning",
            f"{WHO}: its answers are distributed otherwise than at training.",
            "models",
        ),
        Alert(
            "InputsDrifted",
            f"max by ({VERSION}) (model_drift_share) > {limits.drift_share}",
            "1m",
            "warning",
            f"{WHO}: {{{{ $value | humanizePercentage }}}} of its features have drifted: its cases are others.",
            "models",
        ),
    ]


def _performance(limits: Limits) -> Alert:
    metrics = 'metric=~"accuracy|auc"'
    return Alert(
        "PerformanceDrop",
        f"max by ({VERSION}, metric) (model_performance_reference{{{metrics}}})"
        f" - max by ({VERSION}, metric) (model_performance{{{metrics}}}) > {limits.performance_drop}",
        "1m",
        "critical",
        f'{WHO}: {{{{ $labels.metric }}}} is {{{{ $value | printf "%.2f" }}}} below that at training.',
        "models",
    )


def _fairness(limits: Limits) -> list[Alert]:
    by = f"max by ({VERSION}, metric, attribute)"
    ratio, differences = 'metric="disparate_impact_ratio"', 'metric=~".+_difference"'
    drift = limits.fairness_drift
    return [
        Alert(
            "ModelUnfair",
            # The whole interval lies beyond the limit: a few unlucky rows do not make a model unfair.
            f"{by} (model_fairness_high{{{ratio}}}) < {limits.disparate_impact}"
            f' or {by} (model_fairness_low{{metric="demographic_parity_difference"}}) > {limits.parity_difference}',
            "1m",
            "critical",
            f"{WHO} treats groups of {{{{ $labels.attribute }}}} too differently: {{{{ $labels.metric }}}} is"
            ' {{ $value | printf "%.2f" }} at best.',
            "models",
        ),
        Alert(
            "FairnessDrift",
            f"{by} (model_fairness_high{{{ratio}}} < {TRAINED} - {drift})"
            f" or {by} (model_fairness_low{{{differences}}} > {TRAINED} + {drift})",
            "1m",
            "warning",
            f"{WHO} treats groups of {{{{ $labels.attribute }}}} more differently than at training:"
            ' {{ $labels.metric }} is {{ $value | printf "%.2f" }} at best.',
            "models",
        ),
    ]


def _at_once(alerts: list[Alert]) -> Alert:
    """Return what tells programs that the condition of one of these alerts holds, without the time that spares people.

    Each condition is an alert of its own by its label: one that begins to hold beside another is told too.
    """
    conditions = (f'label_replace({each.expression}, "condition", "{each.name}", "", "")' for each in alerts)
    return Alert(
        "ModelDeviates",
        " or ".join(conditions),
        "0s",
        "info",
        f"{WHO} meets the condition of {{{{ $labels.condition }}}} since its last measurement; programs judge it now.",
        "models",
    )


def _monitor() -> list[Alert]:
    last = 'model_monitor_last_success_timestamp_seconds{namespace="model-monitor"}'
    return [
        Alert(
            "ModelMonitorStale",
            f"time() - max by (namespace) ({last}) > {STALE} or absent({last})",
            "5m",
            "warning",
            "Models are not measured: alerts about their data, performance and fairness cannot be relied on.",
            "platform",
            derived=True,
        ),
        Alert(
            "ModelWithoutReference",
            f"max by ({VERSION}) (model_reference_rows) == 0",
            "5m",
            "warning",
            f"{WHO} is served, but its run has no profile to compare with: nothing is watched.",
            "models",
        ),
        Alert(
            "ModelMostlyProbed",
            f"max by ({VERSION}) (model_window_probe_rows) > max by ({VERSION}) (model_window_rows)",
            # Longer than a window: one look of somebody who tests is no habit.
            "2h",
            "info",
            f"{WHO} is asked more often by probes ({{{{ $value }}}} in the window) than by anybody else:"
            " most of what it answers is not measured.",
            "models",
        ),
    ]
