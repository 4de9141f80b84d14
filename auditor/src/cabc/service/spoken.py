"""What people said and what became of the status, as one reader may see it at this moment."""

from __future__ import annotations

from cabc.record.types import StatusRecord
from cabc.report.types import AttestationView, Reader, StatusStep, WaiverView
from cabc.service.state import State

__all__ = ["attestations_of", "history_of", "waivers_of"]


class _Guard:
    """Says what a reader may see of paths; a path that no known document has is hidden, to be careful."""

    def __init__(self, state: State, subject: str, reader: Reader) -> None:
        latest = next(iter(state.record.assessments(subject, limit=1)), None)
        document = state.documents.current(subject) or (state.documents.at(latest.specification) if latest else None)
        nodes = document.requirements if document else ()
        self._open = reader == "auditor"
        self._requirements = {
            node.path: node.confidential or any(leaf.confidential for leaf in node.leaves) for node in nodes
        }
        self._leaves = {leaf.path: leaf.confidential for node in nodes for leaf in node.leaves}

    @property
    def hides_some(self) -> bool:
        return not self._open and (not self._requirements or any(self._requirements.values()))

    def hides_requirement(self, path: str) -> bool:
        return not self._open and self._requirements.get(path, True)

    def hides_leaf(self, path: str) -> bool:
        return not self._open and self._leaves.get(path, True)


def waivers_of(state: State, subject: str, reader: Reader) -> list[WaiverView]:
    """Return the subject's waivers, the last to expire first."""
    guard, now = _Guard(state, subject, reader), state.now()
    found = []
    for waiver in state.record.waivers(subject):
        hidden = guard.hides_requirement(waiver.requirement)
        found.append(
            WaiverView(
                id=waiver.id,
                requirement=waiver.requirement,
                state="in force" if waiver.created <= now < waiver.expires else "expired",
                created=waiver.created,
                expires=waiver.expires,
                reason=None if hidden else waiver.reason,
                approver=None if hidden else waiver.approver,
            )
        )
    return sorted(found, key=lambda item: item.expires, reverse=True)


def attestations_of(state: State, subject: str, reader: Reader) -> list[AttestationView]:
    """Return the subject's attestations, the last to expire first."""
    guard, now = _Guard(state, subject, reader), state.now()
    found = []
    for given in state.record.attestations(subject):
        hidden = guard.hides_leaf(given.path)
        found.append(
            AttestationView(
                id=given.id,
                path=given.path,
                state="valid" if now < given.valid_until else "expired",
                created=given.created,
                valid_until=given.valid_until,
                statement=None if hidden else given.statement,
                party=None if hidden else given.party,
                value=None if hidden else given.value,
                evidence=[] if hidden else given.evidence,
            )
        )
    return sorted(found, key=lambda item: item.valid_until, reverse=True)


def history_of(state: State, subject: str, reader: Reader, *, limit: int) -> list[StatusStep]:
    """Return the changes of the status, the latest first."""
    guard = _Guard(state, subject, reader)
    return [_step(step, guard) for step in state.record.history(subject, limit=limit)]


def _step(step: StatusRecord, guard: _Guard) -> StatusStep:
    # A cause may quote what was found, and a waived requirement is not among its findings.
    told = not guard.hides_some or (step.findings and not any(map(guard.hides_requirement, step.findings)))
    cause = step.cause if told else ", ".join(step.findings) or None
    return StatusStep(
        since=step.since,
        status=step.status,
        cause=cause,
        actor=step.actor,
        assessment=step.assessment,
        version=step.version,
    )
