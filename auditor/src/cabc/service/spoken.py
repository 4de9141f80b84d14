"""What people said and what became of the status, as one reader may see it at this moment."""

from __future__ import annotations

from cabc.record.types import StatusRecord
from cabc.report.guard import Guard
from cabc.report.types import AttestationView, Reader, StatusStep, WaiverView
from cabc.service.state import State

__all__ = ["attestations_of", "history_of", "waivers_of"]


def waivers_of(state: State, subject: str, reader: Reader) -> list[WaiverView]:
    """Return the subject's waivers, the last to expire first."""
    guard, now = _guard(state, subject, reader), state.now()
    views = [guard.waiver_view(waiver, now) for waiver in state.record.waivers(subject)]
    return sorted(views, key=lambda view: view.expires, reverse=True)


def attestations_of(state: State, subject: str, reader: Reader) -> list[AttestationView]:
    """Return the subject's attestations, the last to expire first."""
    guard, now = _guard(state, subject, reader), state.now()
    views = [guard.attestation_view(given, now) for given in state.record.attestations(subject)]
    return sorted(views, key=lambda view: view.valid_until, reverse=True)


def history_of(state: State, subject: str, reader: Reader, *, limit: int) -> list[StatusStep]:
    """Return the changes of the status, the latest first."""
    guard = _guard(state, subject, reader)
    return [_step(step, guard) for step in state.record.history(subject, limit=limit)]


def _step(step: StatusRecord, guard: Guard) -> StatusStep:
    # A cause may quote what was found, and a waived requirement is not among its findings.
    told = not guard.hides_some or (step.findings and not any(map(guard.hides_reason, step.findings)))
    cause = step.cause if told else ", ".join(step.findings) or None
    return StatusStep(
        since=step.since,
        status=step.status,
        cause=cause,
        actor=step.actor,
        assessment=step.assessment,
        version=step.version,
    )


def _guard(state: State, subject: str, reader: Reader) -> Guard:
    """Return the guard over the document that holds now, else over the one that was assessed last."""
    latest = next(iter(state.record.assessments(subject, limit=1)), None)
    document = state.documents.current(subject) or (state.documents.at(latest.specification) if latest else None)
    return Guard.of(reader, document)
