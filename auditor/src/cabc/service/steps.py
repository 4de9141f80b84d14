"""What a process does for a subject: collect, assess, publish, each taking up what the record says is left."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Literal

from cabc.document.loaded import LoadedDocument
from cabc.engine.auditor import Auditor
from cabc.record.chain import draft
from cabc.record.keys import Keys
from cabc.record.types import Assessment, Publication, Trigger
from cabc.report.publish import changed_files
from cabc.report.publish import publish as put_out
from cabc.service.state import ProcessRole, State
from cabc.triggers.schedule import due_trigger, last_collected, ready, schedule

__all__ = ["EngineSteps", "engine_steps"]

_STEPS: dict[ProcessRole, Sequence[str]] = {
    "all": ("collect", "assess", "publish"),
    "collect": ("collect",),
    "assess": ("assess",),
    "publish": ("publish",),
}


def engine_steps(state: State) -> EngineSteps:
    """Return the steps of the process's role, with the operator's connections where it collects."""
    collects = state.role in {"all", "collect"}
    connections = state.home.read_connections() if collects else {}
    return EngineSteps(state, Auditor(state.home, state.record, connections, now=state.now))


class EngineSteps:
    """The engine's and the publisher's functions as steps."""

    def __init__(self, state: State, auditor: Auditor) -> None:
        self._state = state
        self._auditor = auditor
        self.names = _STEPS[state.role]
        self._later: dict[str, tuple[object, dt.datetime | None]] = {}

    async def step(self, name: str, subject: str) -> bool:
        document = self._state.documents.current(subject)
        match name:
            case "collect":
                return document is not None and await self._collect(subject, document)
            case "assess":
                return await self._assess(subject, document)
            case _:
                return await asyncio.to_thread(self._publish_when_due, subject)

    async def _collect(self, subject: str, document: LoadedDocument) -> bool:
        waiting = await asyncio.to_thread(self._asked, subject, document)
        if not ready(waiting, self._state.now()):
            if waiting:  # events come in bursts; look again when this one may be over
                asyncio.get_running_loop().call_later(0.5, self._state.worker.wake)
            return False
        return await self._auditor.collect_pending(document) is not None

    async def _assess(self, subject: str, document: LoadedDocument | None) -> bool:
        elapsed = document is not None and await self._auditor.elapse(document) is not None
        return bool(await self._auditor.assess_pending(subject, document)) or elapsed

    def _publish_when_due(self, subject: str) -> bool:
        """Publish when status or assessment are others than the published ones, or a file is not what it was."""
        record = self._state.record
        latest = next(iter(record.assessments(subject, limit=1)), None)
        if latest is None:
            return False
        last = next(iter(record.publications(subject, limit=1)), None)
        status = record.status(subject)
        same = last is not None and last.assessment == latest.id and (status is None or status.since <= last.published)
        if last is not None and same and not changed_files(last, self._state.home.published):
            return False
        made = self.publish(subject)
        return last is None or made.published != last.published

    def publish(self, subject: str) -> Publication:
        home = self._state.home
        return put_out(self._state.record, subject, home.published, Keys(home.keys), now=self._state.now())

    def _asked(self, subject: str, document: LoadedDocument) -> list[Trigger]:
        """Record triggers for what is due; their ids keep a second look from asking again. Return all that wait."""
        record, now = self._state.record, self._state.now()
        found = []
        latest = next(iter(record.assessments(subject, limit=1)), None)
        if latest is not None:
            if latest.specification != document.digest:
                id_ = f"file-{document.digest[7:19]}-{latest.id}"
                found.append(_trigger(id_, "file", "specification changed", subject, now))
            found += self._said(subject, document, latest, now)
        if found:
            record.append([draft(trigger) for trigger in found])
        self._ask_what_is_due(subject, document, latest, now)
        return record.triggers(subject)

    def _ask_what_is_due(
        self, subject: str, document: LoadedDocument, latest: Assessment | None, now: dt.datetime
    ) -> None:
        """Record a trigger for what is due by the schedule; what is due later is not looked at again till then."""
        record = self._state.record
        key = (latest.id if latest else None, document.digest)
        known, until = self._later.get(subject, (None, None))
        if known == key and (until is None or now < until):
            return
        due = due_trigger(record, document, now)
        plan = schedule(document, last_collected(record, document), now)
        if due is not None:
            self._state.metrics.missed.labels(subject).inc(plan.missed if latest else 0)
            record.append([draft(due)])
        elif not plan.due:
            self._later[subject] = (key, plan.next)

    def _said(self, subject: str, document: LoadedDocument, latest: Assessment, now: dt.datetime) -> list[Trigger]:
        """Return triggers for waivers and attestations that began or ended since the latest assessment."""
        record = self._state.record
        known = {node.path for node in document.requirements}
        above = {leaf.path: node.path for node in document.requirements for leaf in node.leaves}
        spans = [(item.id, item.requirement, item.created, item.expires) for item in record.waivers(subject)]
        spans += [
            (item.id, above.get(item.path, ""), item.created, item.valid_until) for item in record.attestations(subject)
        ]
        return [
            _trigger(f"said-{id_}-{what}", "schedule", f"{id_} {what}", subject, now, requirements=[path])
            for id_, path, begin, end in spans
            for what, at in (("begins", begin), ("ends", end))
            if path in known and latest.started < at <= now
        ]


def _trigger(
    id_: str,
    kind: Literal["schedule", "file"],
    source: str,
    subject: str,
    now: dt.datetime,
    *,
    requirements: list[str] | None = None,
) -> Trigger:
    return Trigger(id=id_, kind=kind, source=source, subject=subject, received=now, requirements=requirements or [])
