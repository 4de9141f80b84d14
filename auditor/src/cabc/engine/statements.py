"""What people say: waivers, attestations, revocations, the pinned baseline. Checked here, recorded under the lease.

The lease keeps an assessment from beginning before a statement and ending after it, so that it is always clear which
statements an assessment knew.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from cabc.document.base import Model
from cabc.document.durations import parse_duration
from cabc.document.loaded import LoadedDocument
from cabc.document.model import Measurement
from cabc.engine.auditor import new_id
from cabc.engine.history import stored_document
from cabc.engine.status import revoke
from cabc.errors import CabcError
from cabc.measurement import CompareError, compare, in_unit
from cabc.record.chain import draft
from cabc.record.store import Record, RunBusyError
from cabc.record.types import Attestation, BaselinePin, Status, StatusRecord, Waiver
from cabc.text import one_line

__all__ = [
    "LONGEST",
    "StatementError",
    "attest",
    "audited",
    "parse_until",
    "parse_value",
    "pin",
    "say",
    "waive",
    "withdraw",
]

LONGEST = dt.timedelta(days=366)
"""Nothing is accepted or vouched for longer without being looked at again."""

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_PATIENCE = 30.0

M = TypeVar("M", bound=Model)


class StatementError(CabcError):
    """What somebody says cannot be recorded as it is."""

    def __init__(
        self, message: str, *, part: Literal["about", "value", "text", "until"], fix: str | None = None
    ) -> None:
        super().__init__(message, fix=fix)
        self.part = part
        """What is wrong: what it is about, the answer, the words, or the end."""


def parse_until(text: str, now: dt.datetime) -> dt.datetime:
    """Return the instant that a text means: an ISO 8601 instant with its time zone, or a duration from now."""
    if text.startswith("P"):
        try:
            return now + parse_duration(text)
        except (ValueError, OverflowError) as error:
            raise CabcError(str(error)) from error
    fix = (
        "write an instant with its time zone (2027-01-31T18:00:00Z, 2027-01-31T18:00+01:00) or a duration (P14D, PT6H)"
    )
    if not _INSTANT.fullmatch(text):
        msg = f"{one_line(text)!r} is no instant with a time zone"
        raise CabcError(msg, fix=fix)
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        msg = f"{one_line(text)!r} is no instant: {error}"
        raise CabcError(msg, fix=fix) from error


def audited(record: Record, subject: str) -> LoadedDocument:
    """Return the document that a subject was assessed by last."""
    last = record.assessments(subject, limit=1)
    if not last:
        known = ", ".join(record.subjects()) or "none yet"
        msg = f"{one_line(subject)!r} has not been assessed"
        raise CabcError(msg, fix=f"subjects: {known}; cabc assess makes an assessment")
    return stored_document(record, last[0].specification)


def say(record: Record, subject: str, made: Callable[[], M]) -> M:
    """Record what `made` gives while no assessment of the subject runs."""
    patience = time.monotonic() + _PATIENCE
    while True:
        try:
            with record.lease(subject, "assess"):
                body = made()
                record.append([draft(body)])
                return body
        except RunBusyError:
            if time.monotonic() > patience:
                msg = f"{subject} is being assessed by another process"
                raise CabcError(msg, fix="try again in a moment") from None
        time.sleep(0.1)


def waive(
    document: LoadedDocument, *, requirement: str, reason: str, approver: str, until: dt.datetime, now: dt.datetime
) -> Waiver:
    """Return the acceptance of a requirement's failure until an instant."""
    _known(requirement, [node.path for node in document.requirements], "requirement")
    _check(now, until, reason=reason, approver=approver)
    return Waiver(
        id=new_id("w", now),
        subject=document.specification.subject.name,
        requirement=requirement,
        reason=one_line(reason, limit=2000),
        approver=one_line(approver),
        created=now,
        expires=until.astimezone(dt.UTC),
    )


def parse_value(measurement: Measurement, text: str) -> bool | float | str:
    """Return the value that a text means to a measurement."""
    if measurement.data_type == "boolean" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if measurement.data_type == "numeric":
        try:
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            return text  # refused below, with the reason
    return text


def attest(
    document: LoadedDocument,
    *,
    path: str,
    value: bool | float | str,
    statement: str,
    party: str,
    until: dt.datetime,
    now: dt.datetime,
) -> Attestation:
    """Return a person's answer to a manual measurement until an instant."""
    manual = {
        leaf.path: leaf.element
        for leaf in document.leaves()
        if isinstance(leaf.element, Measurement) and leaf.element.interface and leaf.element.interface.kind == "manual"
    }
    _known(path, list(manual), "manual measurement")
    _check(now, until, statement=statement, party=party)
    measurement = manual[path]
    if isinstance(measurement.target, bool | int | float | str):
        try:
            compare(measurement, in_unit(measurement, value), measurement.target)
        except CompareError as error:
            msg = f"{path} cannot have this value: {error}"
            raise StatementError(msg, part="value") from error
    return Attestation(
        id=new_id("m", now),
        subject=document.specification.subject.name,
        path=path,
        statement=one_line(statement, limit=2000),
        value=value,
        party=one_line(party),
        created=now,
        valid_until=until.astimezone(dt.UTC),
    )


def withdraw(record: Record, subject: str, *, reason: str, actor: str, now: dt.datetime) -> StatusRecord:
    """Return the status after somebody revoked it by hand."""
    previous = record.status(subject)
    if previous is None or previous.status is Status.REVOKED:
        state = "has no status" if previous is None else "is revoked already"
        msg = f"{one_line(subject)} {state}"
        raise CabcError(msg, fix="cabc status shows what there is")
    _said(reason=reason, actor=actor)
    return revoke(previous, reason=one_line(reason, limit=2000), actor=one_line(actor), now=now)


def pin(record: Record, subject: str, assessment: str, *, reason: str, actor: str, now: dt.datetime) -> BaselinePin:
    """Return the choice of an assessment as baseline."""
    found = record.assessment(assessment)
    if found is None or found.subject.name != subject:
        own = ", ".join(each.id for each in record.assessments(subject, limit=5)) or "none"
        msg = f"{one_line(subject)} has no assessment {one_line(assessment)!r}"
        raise CabcError(msg, fix=f"its latest: {own}")
    _said(reason=reason, actor=actor)
    return BaselinePin(
        id=new_id("b", now),
        subject=subject,
        assessment=assessment,
        reason=one_line(reason, limit=2000),
        actor=one_line(actor),
        created=now,
    )


def _known(name: str, every: list[str], what: str) -> None:
    if name not in every:
        msg = f"there is no {what} {one_line(name)!r}"
        fix = f"name one of {', '.join(every) or 'none: the document has no such thing'}"
        raise StatementError(msg, part="about", fix=fix)


def _said(**texts: str) -> None:
    for name, text in texts.items():
        if not one_line(text):
            msg = f"{name} says nothing"
            raise StatementError(msg, part="text", fix=f"give --{name} some text")


def _check(now: dt.datetime, until: dt.datetime, **texts: str) -> None:
    _said(**texts)
    if not now < until <= now + LONGEST:
        msg = f"{until:%Y-%m-%d %H:%M %Z} is not in the future, or more than {LONGEST.days} days away"
        raise StatementError(msg, part="until", fix="choose an end within a year; it can be renewed")
