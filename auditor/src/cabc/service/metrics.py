"""Prometheus metrics. States are read from the record when somebody scrapes, so they are right after a restart."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cabc.record.store import Record
from cabc.record.types import Assessment, Status, Verdict

__all__ = ["SERIES", "Metrics"]

SERIES = 5000
"""Requirements that get a series of their own in one scrape; the rest only counts in its dimension."""
LOOK_BACK = 20
HOOK_ANSWERS = ("202", "400", "401", "409", "422")

STATUS_STATE = {
    Status.NONE: -1,
    Status.CONFORMANT: 0,
    Status.CONDITIONAL: 1,
    Status.SUSPENDED: 2,
    Status.REVOKED: 3,
}
VERDICT_STATE = {
    Verdict.NOT_APPLICABLE: 0,
    Verdict.SATISFIED: 0,
    Verdict.NEEDS_REVIEW: 1,
    Verdict.NOT_SATISFIED: 2,
    Verdict.ERROR: 3,
    Verdict.NOT_EVALUATED: -1,
}
WAIVED = 1
HELP = (
    "State of a subject (dimension and requirement empty), a dimension (requirement empty) or a requirement."
    " -1 nothing known; 0 conformant, satisfied; 1 conditional, waived, needs review; 2 suspended, not satisfied;"
    " 3 revoked, error."
)


class Metrics:
    """What this process counts, and a collector that reads states from the record."""

    def __init__(
        self,
        record: Record,
        subjects: Callable[[], list[str]],
        now: Callable[[], dt.datetime],
        webhooks: Iterable[str] = (),
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_States(record, subjects, now))
        self.run_seconds = Histogram(
            "cabc_run_duration_seconds",
            "Time a step of a run took.",
            ["step", "result"],
            registry=self.registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600),
        )
        self.missed = Counter(
            "cabc_missed_runs_total",
            "Scheduled times that passed without a run of their own: the one before took too long, or nothing ran.",
            ["subject"],
            registry=self.registry,
        )
        self.running = Gauge("cabc_runs_in_progress", "Subjects that are worked on now.", registry=self.registry)
        self.hooks = Counter(
            "cabc_webhook_messages_total",
            "Messages by webhook and answer.",
            ["webhook", "status"],
            registry=self.registry,
        )
        for name in webhooks:
            for status in HOOK_ANSWERS:  # a series that begins with the first refusal shows no increase
                self.hooks.labels(name, status)
        self.documents = Gauge(
            "cabc_documents_refused", "Documents that cannot be used as they are.", registry=self.registry
        )

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)


class _States(Collector):
    def __init__(self, record: Record, subjects: Callable[[], list[str]], now: Callable[[], dt.datetime]) -> None:
        self._record = record
        self._subjects = subjects
        self._now = now

    def describe(self) -> list[Metric]:
        """Tell names without reading the record, which is not asked for when the collector is registered."""
        return [GaugeMetricFamily("compliance_state", HELP)]

    def collect(self) -> Iterator[Metric]:
        state = GaugeMetricFamily("compliance_state", HELP, labels=["subject", "dimension", "requirement"])
        age = GaugeMetricFamily(
            "cabc_evidence_age_seconds", "Age of the oldest value that the latest assessment used.", labels=["subject"]
        )
        last = GaugeMetricFamily(
            "cabc_last_assessment_timestamp_seconds", "When the latest assessment ended.", labels=["subject"]
        )
        queue = GaugeMetricFamily("cabc_queue", "What waits.", labels=["subject", "what"])
        room = SERIES
        for subject in self._subjects():
            status = self._record.status(subject)
            state.add_metric([subject, "", ""], STATUS_STATE[status.status if status else Status.NONE])
            queue.add_metric([subject, "triggers"], len(self._record.triggers(subject)))
            queue.add_metric([subject, "collections"], len(self._record.pending_collections(subject)))
            room = self._requirements(subject, state, age, last, room)
        yield from (state, age, last, queue)

    def _requirements(
        self, subject: str, state: GaugeMetricFamily, age: GaugeMetricFamily, last: GaugeMetricFamily, room: int
    ) -> int:
        recent = self._record.assessments(subject, limit=LOOK_BACK)
        if not recent:
            return room
        last.add_metric([subject], recent[0].ended.timestamp())
        times = [item.collected for item in self._record.observations(recent[0].id) if item.collected]
        if times:
            age.add_metric([subject], max(0.0, (self._now() - min(times)).total_seconds()))
        worst: dict[str, int] = {}
        for path, (dimension, value) in sorted(self._latest(recent).items()):
            worst[dimension] = max(worst.get(dimension, -1), value)
            if room > 0:
                state.add_metric([subject, dimension, path], value)
                room -= 1
        for dimension, value in worst.items():
            state.add_metric([subject, dimension, ""], value)
        return room

    def _latest(self, recent: list[Assessment]) -> dict[str, tuple[str, int]]:
        """Return dimension and state of every requirement, from the last assessment that covered it."""
        found: dict[str, tuple[str, int]] = {}
        for assessment in recent:
            for finding in self._record.findings(assessment.id):
                skipped = finding.verdict is Verdict.NOT_EVALUATED and not assessment.complete
                if finding.requirement not in found and not skipped:
                    value = WAIVED if finding.waiver else VERDICT_STATE[finding.verdict]
                    found[finding.requirement] = (finding.dimension, value)
            if assessment.complete:
                break
        return found
