"""What must not go unnoticed of the gate: that it stopped looking, and what is served against or without a status."""

from __future__ import annotations

from components._core.rules import Alert, Group

__all__ = ["groups"]

STALE_SECONDS = 300
TOLD_SECONDS = 3600
"""How long people are told of a rollback."""


def groups() -> list[Group]:
    """Return the groups of the gate's PrometheusRule."""
    return [
        Group(
            "gate",
            [
                Alert(
                    "ConformityGateStale",
                    f"time() - max(conformity_gate_last_poll_timestamp_seconds) > {STALE_SECONDS}",
                    "2m",
                    "critical",
                    "The conformity gate cannot see auditor, registry and cluster: what was decided last stays.",
                    "audit",
                ),
                Alert(
                    "ConformityGateUnwatched",
                    "absent(conformity_gate_last_poll_timestamp_seconds)",
                    "5m",
                    "critical",
                    "Nobody reads the conformity gate, or it does not run: no status has an effect.",
                    "audit",
                    derived=True,
                ),
            ],
        ),
        Group(
            "models",
            [
                Alert(
                    "ServedAgainstStatus",
                    'max by (model, version) (conformity_gate_served{verdict="refused",mode="enforce"}) == 1',
                    "1m",
                    "critical",
                    "{{ $labels.model }} version {{ $labels.version }} is served although its conformity status"
                    " forbids it.",
                    "models",
                ),
                Alert(
                    "ServedUnassessed",
                    'max by (model, version) (conformity_gate_served{verdict="pending",mode="enforce"}) == 1',
                    "30m",
                    "warning",
                    "{{ $labels.model }} version {{ $labels.version }} is served and was not yet assessed in full.",
                    "audit",
                ),
                Alert(
                    "ModelRolledBack",
                    "time() - max by (model)"
                    ' (conformity_gate_last_decision_timestamp_seconds{decision="rollback"})'
                    f" < {TOLD_SECONDS}",
                    "0s",
                    "info",
                    "{{ $labels.model }} was rolled back to another version {{ $value | humanizeDuration }} ago.",
                    "models",
                ),
            ],
        ),
    ]
