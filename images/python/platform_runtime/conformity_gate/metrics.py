"""What Prometheus reads. Labels are bounded: only versions that are served, champion or candidate have series."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from platform_runtime.conformity_gate.decision import Ledger
from platform_runtime.conformity_gate.plan import Kind, Mode, Verdict
from platform_runtime.conformity_gate.standing import Status

__all__ = ["SOURCES", "Metrics"]

SOURCES = ("auditor", "registry", "cluster", "gate")
"""What the gate reads from and writes to, and the gate itself where it meets what nobody thought of."""


class Metrics:
    """The series of one gate."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.decisions = Counter(
            "conformity_gate_decisions",
            "Decisions that were carried out, or said where the mode says no more.",
            ["decision"],
            registry=self._registry,
        )
        self.failures = Counter(
            "conformity_gate_failures", "Looks that failed, by what failed.", ["source"], registry=self._registry
        )
        self.status = self._gauge("status", "1 for the status that a version has.", "model", "version", "status")
        self.served = self._gauge(
            "served", "1 for what the status of the served version means.", "model", "version", "verdict", "mode"
        )
        self.champion = self._gauge("champion", "1 for the version that is champion.", "model", "version")
        self.last_decision = self._gauge(
            "last_decision_timestamp_seconds", "When a decision was carried out last.", "model", "decision"
        )
        self.unreadable = self._gauge(
            "unreadable_decisions", "Tags of a model's versions that have the name of a decision and are none.", "model"
        )
        self.last_poll = self._gauge("last_poll_timestamp_seconds", "When every model was last looked at in full.")
        for kind in Kind:
            self.decisions.labels(kind.value)
        for source in SOURCES:
            self.failures.labels(source)

    def clear(self) -> None:
        """Forget which models there are; what is still there is told again."""
        for gauge in (self.status, self.served, self.champion, self.last_decision, self.unreadable):
            gauge.clear()

    def tell(
        self,
        model: str,
        *,
        statuses: Mapping[str, Status],
        served: tuple[str, Verdict, Mode] | None,
        champion: str | None,
        ledger: Ledger,
    ) -> None:
        """Tell how one model is."""
        for version, status in statuses.items():
            for each in Status:
                self.status.labels(model, version, each.value).set(each is status)
        if served:
            version, found, mode = served
            for verdict in Verdict:
                self.served.labels(model, version, verdict.value, mode.value).set(verdict is found)
        if champion:
            self.champion.labels(model, champion).set(1)
        self.unreadable.labels(model).set(ledger.unreadable)
        last: dict[str, dt.datetime] = {}
        for decision in ledger.decisions.values():
            if decision.end == "done":
                last[decision.kind] = max(decision.at, last.get(decision.kind, decision.at))
        for kind, at in last.items():
            self.last_decision.labels(model, kind).set(at.timestamp())

    def text(self) -> bytes:
        """Return all series as Prometheus reads them."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"conformity_gate_{name}", text, labels, registry=self._registry)
