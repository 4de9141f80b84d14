"""What people do through API and pages: waive, attest, ask for a run. One place checks and records it."""

from __future__ import annotations

import datetime as dt
import secrets

from cabc.document.loaded import LoadedDocument
from cabc.document.model import Measurement
from cabc.record.chain import draft
from cabc.record.types import Attestation, Trigger, Waiver
from cabc.service.access import Principal
from cabc.service.problems import ProblemError
from cabc.service.state import State
from cabc.text import safe

__all__ = ["ask", "attest", "waive"]

LONGEST = dt.timedelta(days=366)
"""Nothing is accepted or vouched for longer without being looked at again."""


def waive(state: State, by: Principal, *, subject: str, requirement: str, reason: str, expires: dt.datetime) -> Waiver:
    """Record that a requirement's failure is accepted."""
    now = state.now()
    if requirement not in {node.path for node in _document(state, subject).requirements}:
        raise ProblemError(422, f"The document of {subject} has no requirement with this path.")
    _check_end(now, expires, "expires")
    waiver = Waiver(
        id=_id("waiver", now),
        subject=subject,
        requirement=requirement,
        reason=safe(reason),
        approver=by.name,
        created=now,
        expires=expires.astimezone(dt.UTC),
    )
    state.record.append([draft(waiver)])
    state.worker.wake()
    return waiver


def attest(
    state: State,
    by: Principal,
    *,
    subject: str,
    path: str,
    statement: str,
    value: bool | float | str,
    valid_until: dt.datetime,
) -> Attestation:
    """Record a person's answer to a manual measurement."""
    now = state.now()
    leaf = next((leaf for leaf in _document(state, subject).leaves() if leaf.path == path), None)
    if leaf is None:
        raise ProblemError(422, f"The document of {subject} has no measurement with this path.")
    if not isinstance(leaf.element, Measurement) or getattr(leaf.element.interface, "kind", "") != "manual":
        raise ProblemError(422, "This measurement is not answered by people: its interface is not manual.")
    _check_end(now, valid_until, "validUntil")
    attestation = Attestation(
        id=_id("attestation", now),
        subject=subject,
        path=path,
        statement=safe(statement),
        value=value,
        party=by.name,
        created=now,
        valid_until=valid_until.astimezone(dt.UTC),
    )
    state.record.append([draft(attestation)])
    state.worker.wake()
    return attestation


def ask(state: State, by: Principal, *, subject: str, requirements: list[str]) -> Trigger:
    """Record that somebody wants a run."""
    known = {node.path for node in _document(state, subject).requirements}
    unknown = [path for path in requirements if path not in known]
    if unknown:
        raise ProblemError(422, f"The document of {subject} does not have {len(unknown)} of these requirements.")
    now = state.now()
    trigger = Trigger(
        id=_id("manual", now),
        kind="manual",
        source=by.name,
        subject=subject,
        received=now,
        requirements=requirements,
    )
    state.record.append([draft(trigger)])
    state.worker.wake()
    return trigger


def _document(state: State, subject: str) -> LoadedDocument:
    document = state.documents.current(subject)
    if document is None:
        raise ProblemError(409, f"{subject} has no document here, so nothing can be said about it.")
    return document


def _check_end(now: dt.datetime, end: dt.datetime, name: str) -> None:
    if not now < end <= now + LONGEST:
        raise ProblemError(422, f"{name} must be in the future and at most {LONGEST.days} days away.")


def _id(kind: str, now: dt.datetime) -> str:
    return f"{kind}-{now.astimezone(dt.UTC):%Y%m%d}-{secrets.token_hex(4)}"
