"""The latest reports as Prometheus metrics; docs/reference/model-metrics.md says what each means.

Series are made from the reports at every scrape, so those of a version that is not served any more are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from platform_runtime.model_monitor.report import FeatureReport, Report

if TYPE_CHECKING:
    from platform_runtime.model_monitor.monitor import Monitor

__all__ = ["METRICS", "REST", "text"]

REST = "other"
"""The features beyond the cap, as one: its worst share, and whether any has drifted."""

METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "model_window_rows": ("Predictions in the window.", ()),
    "model_window_probe_rows": ("Rows left out of the window: ids of their requests begin with probe-.", ()),
    "model_window_labelled_rows": ("Predictions that a label came for.", ()),
    "model_reference_rows": ("Rows that the profile is made from; 0 where the version has none.", ()),
    "model_quality_ratio": (
        "Share of values that are missing, of another type, beyond the range, or of a new category.",
        ("feature", "check"),
    ),
    "model_drift_score": ("How far a feature is from its profile.", ("feature", "method")),
    "model_drift_threshold": ("Score above which a feature counts as drifted.", ("feature", "method")),
    "model_drift_detected": ("Whether a feature has drifted.", ("feature",)),
    "model_drift_share": ("Drifted features as a share of all.", ()),
    "model_performance": ("Performance on labelled predictions.", ("metric",)),
    "model_performance_reference": ("The same at training, on rows the model had not seen.", ("metric",)),
    "model_calibration_error": ("Expected calibration error on labelled predictions.", ()),
    "model_label_delay_seconds": ("Mean time from a prediction to its label.", ()),
    "model_fairness": ("How differently groups are treated.", ("metric", "attribute")),
    "model_fairness_low": ("Lower end of its 95 % interval.", ("metric", "attribute")),
    "model_fairness_high": ("Upper end of its 95 % interval.", ("metric", "attribute")),
    "model_fairness_drift": ("Fairness now minus fairness at training.", ("metric", "attribute")),
    "model_fairness_group_rows": ("Rows of a group.", ("attribute", "group")),
    "model_business": ("Mean of a business figure over the decisions it came for.", ("metric",)),
    "model_feedback": ("Mean of what users said of decisions.", ("metric",)),
}
"""Help and labels, after `model` and `version`, of every series that is about a model."""

Sample = tuple[str, tuple[str, ...], float]


def text(monitor: Monitor) -> bytes:
    """Return everything in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Reports(monitor))
    return generate_latest(registry)


class _Reports(Collector):
    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        families = {
            name: GaugeMetricFamily(name, explained, labels=["model", "version", *labels])
            for name, (explained, labels) in METRICS.items()
        }
        for report in self._monitor.reports:
            identity = (report.window.model, report.window.version)
            for name, labels, value in _samples(report, self._monitor.settings.max_features):
                families[name].add_metric([*identity, *labels], value)
        yield from families.values()
        if self._monitor.last_success:
            yield GaugeMetricFamily(
                "model_monitor_last_success_timestamp_seconds",
                "When everything that is served was last measured.",
                value=self._monitor.last_success.timestamp(),
            )
        yield GaugeMetricFamily(
            "model_monitor_duration_seconds", "How long the last measurement took.", value=self._monitor.seconds
        )
        failures = CounterMetricFamily("model_monitor_failures", "Measurements that failed.", labels=["reason"])
        for reason, number in self._monitor.failures.items():
            failures.add_metric([reason], number)
        yield failures


def _samples(report: Report, cap: int) -> Iterator[Sample]:
    yield "model_window_rows", (), report.rows
    yield "model_window_probe_rows", (), report.probe_rows
    yield "model_window_labelled_rows", (), report.labelled_rows
    yield "model_reference_rows", (), report.reference_rows
    yield from _optional("model_drift_share", report.drift_share)
    for feature in (*report.features[:cap], *([report.prediction] if report.prediction else [])):
        yield from _feature(feature)
    yield from _rest(report.features[cap:])
    yield from _optional("model_calibration_error", report.calibration_error)
    yield from _optional("model_label_delay_seconds", report.label_delay_seconds)
    yield from _by_metric("model_performance", report.performance)
    yield from _by_metric("model_performance_reference", report.reference_performance)
    yield from _fairness(report)
    for name, figures in (("model_business", report.business), ("model_feedback", report.feedback)):
        yield from _by_metric(name, {of: figure.mean for of, figure in figures.items()})


def _by_metric(name: str, figures: Mapping[str, float]) -> Iterable[Sample]:
    return ((name, (of,), value) for of, value in figures.items())


def _fairness(report: Report) -> Iterator[Sample]:
    for attribute, found in report.fairness.items():
        for name, figure in found.figures.items():
            yield "model_fairness", (name, attribute), figure.value
            yield "model_fairness_low", (name, attribute), figure.low
            yield "model_fairness_high", (name, attribute), figure.high
        for group, rows in found.groups.items():
            yield "model_fairness_group_rows", (attribute, group), rows
    for attribute, changes in report.fairness_drift.items():
        for name, value in changes.items():
            yield "model_fairness_drift", (name, attribute), value


def _optional(name: str, value: float | None) -> Iterable[Sample]:
    return () if value is None else ((name, (), value),)


def _feature(feature: FeatureReport) -> Iterator[Sample]:
    for check, share in feature.quality.items():
        yield "model_quality_ratio", (feature.name, check), share
    if feature.drift:
        yield "model_drift_score", (feature.name, feature.drift.method), feature.drift.score
        yield "model_drift_threshold", (feature.name, feature.drift.method), feature.drift.threshold
        yield "model_drift_detected", (feature.name,), float(feature.drift.detected)


def _rest(features: Sequence[FeatureReport]) -> Iterator[Sample]:
    worst: dict[str, float] = {}
    for feature in features:
        for check, share in feature.quality.items():
            worst[check] = max(worst.get(check, 0.0), share)
    for check, share in worst.items():
        yield "model_quality_ratio", (REST, check), share
    if judged := [feature.drift.detected for feature in features if feature.drift]:
        yield "model_drift_detected", (REST,), float(any(judged))
