"""When requirements are due: by their own frequency, from what the record says was collected last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cabc.document.loaded import LoadedDocument, RequirementNode
from cabc.engine.auditor import confirming
from cabc.loading.frequency import Every, OnEvent, parse_frequency
from cabc.record.store import Record
from cabc.record.types import Collection, Trigger

__all__ = ["Due", "Schedule", "due_trigger", "last_collected", "next_run", "ready", "schedule"]

_LOOK_BACK = 200
"""Assessments in which a requirement without any evidence is looked for."""
_MISSED = 1000
"""Missed runs are counted up to this many."""


@dataclass(frozen=True, slots=True)
class Due:
    """When one requirement has to be assessed again."""

    requirement: str
    at: dt.datetime | None
    """None for one that waits for an event."""
    missed: int = 0
    """Times that went by since, without a run, before the one that is due now."""


@dataclass(frozen=True)
class Schedule:
    """What is due now and when something is due next."""

    due: tuple[Due, ...]
    later: tuple[Due, ...]

    @property
    def next(self) -> dt.datetime | None:
        """When something that is not due yet will be."""
        return min((each.at for each in self.later if each.at is not None), default=None)

    @property
    def missed(self) -> int:
        """Runs that did not happen: as often as the requirement that waited most was passed over."""
        return max((each.missed for each in self.due), default=0)


def next_run(frequency: str, last: dt.datetime, now: dt.datetime) -> tuple[dt.datetime | None, int]:
    """Return when a requirement is due after its last run, and how many more times went by since."""
    rule = parse_frequency(frequency)
    if isinstance(rule, OnEvent):
        return None, 0
    first = rule.following(last)
    if first > now:
        return first, 0
    if isinstance(rule, Every):
        return first, min((now - first) // rule.interval, _MISSED)
    missed, at = 0, rule.following(first)
    while at <= now and missed < _MISSED:
        missed, at = missed + 1, rule.following(at)
    return first, missed


def schedule(document: LoadedDocument, last: Mapping[str, dt.datetime], now: dt.datetime) -> Schedule:
    """Return what is due; a requirement that was never collected is, whatever its frequency."""
    due: list[Due] = []
    later: list[Due] = []
    for node in document.requirements:
        if node.nested:
            continue  # due with the requirements of the document that it holds
        if node.path not in last:
            due.append(Due(node.path, now))
            continue
        at, missed = next_run(node.frequency, last[node.path], now)
        (due if at is not None and at <= now else later).append(Due(node.path, at, missed))
    return Schedule(tuple(due), tuple(later))


def last_collected(record: Record, document: LoadedDocument) -> dict[str, dt.datetime]:
    """Return when each requirement was collected last for this document; what never was is left out."""
    found: dict[str, dt.datetime] = {}
    subject = document.specification.subject.name
    latest = _latest(record, subject)
    if latest is None or latest.specification != document.digest:
        return found
    collected = {leaf.path: leaf.value.collected for leaf in latest.leaves if leaf.value is not None}
    for node in document.requirements:
        if _judged(latest.trigger, node):
            found[node.path] = latest.started
        elif times := [collected[leaf.path] for leaf in node.leaves if leaf.path in collected]:
            found[node.path] = max(times)
    missing = [node for node in document.requirements if node.path not in found]
    for assessment in record.assessments(subject, limit=_LOOK_BACK) if missing else []:
        for node in missing:
            if assessment.specification == document.digest and _judged(assessment.trigger, node):
                found.setdefault(node.path, assessment.started)
        if len(found) == len(document.requirements):
            break
    return found


def _latest(record: Record, subject: str) -> Collection | None:
    """Return the latest collection, assessed or not."""
    if waiting := record.pending_collections(subject):
        return waiting[-1]
    last = record.assessments(subject, limit=1)
    return record.collection(last[0].collection) if last else None


def _judged(trigger: Trigger, node: RequirementNode) -> bool:
    return not trigger.requirements or node.path in trigger.requirements


def due_trigger(record: Record, document: LoadedDocument, now: dt.datetime) -> Trigger | None:
    """Return a trigger for what is due and nobody asked for yet.

    The same state of the record gives the same id, so that recording it twice changes nothing.
    """
    subject = document.specification.subject.name
    last = last_collected(record, document)
    found = schedule(document, last, now)
    if not found.due:
        return confirming(record, document, now)
    waiting = record.triggers(subject)
    paths = [each.requirement for each in found.due]
    if any(not each.requirements or set(paths) <= set(each.requirements) for each in waiting):
        return None
    every = {node.path for node in document.requirements if not node.nested}
    missed = f", {found.missed} missed" if found.missed else ""
    latest = _latest(record, subject)
    return Trigger(
        id=f"due-{latest.id if latest else subject}-{len(paths)}-{document.digest[7:15]}",
        kind="schedule",
        source=f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''} due{missed}",
        subject=subject,
        received=now,
        requirements=[] if every <= set(paths) else paths,
    )


def ready(
    triggers: Sequence[Trigger],
    now: dt.datetime,
    *,
    quiet: dt.timedelta = dt.timedelta(seconds=1),
    longest: dt.timedelta = dt.timedelta(seconds=5),
) -> bool:
    """Say whether a run should begin: events come in bursts, so it waits for a quiet moment, but not for ever.

    People and the schedule do not wait.
    """
    if not triggers:
        return False
    if any(each.kind in {"manual", "schedule"} for each in triggers):
        return True
    received = _times(triggers)
    return now - max(received) >= quiet or now - min(received) >= longest


def _times(triggers: Iterable[Trigger]) -> list[dt.datetime]:
    return [each.received for each in triggers]
