"""What people do through API and pages: waive, attest, ask for a run. One place checks and records it."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from typing import TypeVar

from cabc.document.loaded import LoadedDocument
from cabc.engine import statements
from cabc.record.chain import draft
from cabc.record.types import Attestation, Trigger, Waiver
from cabc.service.access import Principal
from cabc.service.problems import ProblemError
from cabc.service.state import State

__all__ = ["ask", "attest", "waive"]

S = TypeVar("S", Waiver, Attestation)


def waive(state: State, by: Principal, *, subject: str, requirement: str, reason: str, expires: dt.datetime) -> Waiver:
    """Record that a requirement's failure is accepted."""
    document = _document(state, subject)
    return _say(
        state,
        subject,
        lambda: statements.waive(
            document, requirement=requirement, reason=reason, approver=by.name, until=expires, now=state.now()
        ),
    )


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
    document = _document(state, subject)
    return _say(
        state,
        subject,
        lambda: statements.attest(
            document,
            path=path,
            value=value,
            statement=statement,
            party=by.name,
            until=valid_until,
            now=state.now(),
        ),
    )


def _say(state: State, subject: str, made: Callable[[], S]) -> S:
    """Record a statement while no assessment runs: an assessment must know all statements before it."""
    said = statements.say(state.record, subject, made)
    state.worker.wake()
    return said


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


def _id(kind: str, now: dt.datetime) -> str:
    return f"{kind}-{now.astimezone(dt.UTC):%Y%m%d}-{secrets.token_hex(4)}"
