"""One subject's cycle: collect, assess, record. Whoever is killed anywhere leaves something the next run takes up.

The record holds all that is to be done: triggers that nobody answered, collections that nobody assessed. Two leases
per subject, one to collect and one to assess, keep a second process out.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any, TypeVar

from cabc.document.durations import parse_duration
from cabc.document.loaded import LoadedDocument
from cabc.document.model import SubjectSelector
from cabc.engine.assess import Assessed, assess
from cabc.engine.collect import Answers, Collector, Progress
from cabc.engine.history import carried, context_for, keep_document, stored_document
from cabc.engine.memory import uncollected
from cabc.engine.plan import Plan, expand, plan
from cabc.engine.status import elapse, outcome
from cabc.errors import CabcError
from cabc.home import Home
from cabc.interfaces.base import Connection, RetrieveError, SubjectFacts
from cabc.interfaces.registry import plugin
from cabc.record.chain import draft
from cabc.record.store import Draft, Record, RunBusyError
from cabc.record.types import Collection, Evidence, Status, StatusRecord, Trigger

__all__ = ["Auditor", "RunResult", "confirming", "merged", "new_id", "resolve"]

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
_LEASE = 15.0
"""Seconds after which the subject of a killed process is free; one that lives renews three times as often."""
Resolve = Callable[[SubjectSelector, Mapping[str, Connection]], Awaitable[SubjectFacts]]


@cache
def _version() -> str:
    return version("cabc")


async def _finished(function: Callable[..., T], *args: Any) -> T:
    """Run in a thread and wait for its end even when cancelled: what it began is done before the lease goes."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def new_id(prefix: str, now: dt.datetime) -> str:
    """Return an id that people can type and that sorts by day."""
    return f"{prefix}{now:%y%m%d}-{secrets.token_hex(4)}"


async def resolve(selector: SubjectSelector, connections: Mapping[str, Connection]) -> SubjectFacts:
    """Read who the subject is now. What cannot be read is left unknown; leaves that need it become errors."""
    from cabc.interfaces.connections import MlflowConnection
    from cabc.interfaces.mlflow import NoDigestError, resolve_subject

    connection = connections.get(selector.connection or "")
    known = connection if isinstance(connection, MlflowConnection) else None
    try:
        return await resolve_subject(selector, known)
    except NoDigestError as error:
        _LOG.warning("%s: %s", selector.name, error)
        return error.known
    except RetrieveError as error:
        _LOG.warning("%s: %s", selector.name, error)
        return await resolve_subject(selector, None)


def merged(triggers: Iterable[Trigger]) -> Trigger:
    """Return one trigger that answers several: the first one's, with the requirements of all."""
    first, *more = triggers
    every = [first, *more]
    requirements = sorted({path for each in every for path in each.requirements})
    return first.model_copy(update={"requirements": requirements if all(each.requirements for each in every) else []})


@dataclass
class RunResult:
    """What a run did."""

    subject: str
    assessed: list[Assessed] = field(default_factory=list, repr=False)
    """The assessments of this run, oldest first; more than one when an earlier run was taken up or triggers came."""
    answered_by: str | None = None
    """Id of the assessment of another process that answered the trigger in place of this one."""
    status: StatusRecord | None = None


class Auditor:
    """Runs documents against the world and keeps the record."""

    def __init__(
        self,
        home: Home,
        record: Record,
        connections: Mapping[str, Connection],
        *,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        plugins: Callable[[str], Any] = plugin,
        resolve: Resolve = resolve,
        progress: Progress | None = None,
    ) -> None:
        self._home = home
        self._record = record
        self._connections = connections
        self._now = now
        self._plugins = plugins
        self._resolve = resolve
        self._progress = progress
        self._bodies: dict[str, bytes] = {}

    async def run(self, document: LoadedDocument, trigger: Trigger) -> RunResult:
        """Answer a trigger: now, or after the run that holds the subject, whose next one then answers all that waits.

        Cancelling it loses nothing: the trigger stays in the record until a collection answers it.
        """
        expand(document, trigger.requirements or None)  # a wrong name is an error before anything is recorded
        await asyncio.to_thread(self._record.append, [draft(trigger)])
        waits_until = self._now() + 3 * self._deadline
        while True:
            try:
                async with self._lease(trigger.subject, "collect"):
                    return await self._answer(document, trigger)
            except RunBusyError:
                if (answer := await asyncio.to_thread(self._answered, trigger)) is not None:
                    return answer
                if self._now() > waits_until:
                    msg = f"{trigger.subject} is still being assessed by another process"
                    raise CabcError(msg, fix="the trigger is recorded; the next run answers it") from None
            await asyncio.sleep(0.1)

    async def _answer(self, document: LoadedDocument, trigger: Trigger) -> RunResult:
        result = RunResult(trigger.subject)
        result.assessed += await self.assess_pending(trigger.subject, document)
        while waiting := await asyncio.to_thread(self._record.triggers, trigger.subject):
            await self._cycle(document, waiting)
            result.assessed += await self.assess_pending(trigger.subject, document)
            again = await asyncio.to_thread(confirming, self._record, document, self._now())
            if again is not None:
                await asyncio.to_thread(self._record.append, [draft(again)])
        if not result.assessed:
            return await asyncio.to_thread(self._answered, trigger) or result
        result.status = await asyncio.to_thread(self._record.status, trigger.subject)
        return result

    def _answered(self, trigger: Trigger) -> RunResult | None:
        """Return the result of the run of another process that answered a trigger, None while there is none."""
        subject = trigger.subject
        if any(each.id == trigger.id for each in self._record.triggers(subject)):
            return None
        if self._record.pending_collections(subject):
            return None
        last = self._record.assessments(subject, limit=1)
        if not last:
            return None
        return RunResult(subject, answered_by=last[0].id, status=self._record.status(subject))

    async def collect_pending(self, document: LoadedDocument) -> Collection | None:
        """Answer all triggers that wait with one collection, None when there are none; RunBusyError when held."""
        subject = document.specification.subject.name
        if not await asyncio.to_thread(self._record.triggers, subject):
            return None
        async with self._lease(subject, "collect"):
            waiting = await asyncio.to_thread(self._record.triggers, subject)
            return await self._cycle(document, waiting) if waiting else None

    async def assess_pending(self, subject: str, document: LoadedDocument | None = None) -> list[Assessed]:
        """Assess collections that have no assessment, oldest first; RunBusyError when another process does."""
        if not await asyncio.to_thread(self._record.pending_collections, subject):
            return []
        async with self._lease(subject, "assess"):
            return await _finished(self._assess_all, subject, document)

    async def elapse(self, document: LoadedDocument) -> StatusRecord | None:
        """Record what time alone did to the status, if it did; RunBusyError when another process assesses."""
        async with self._lease(document.specification.subject.name, "assess"):
            return await _finished(self._elapse, document)

    def _elapse(self, document: LoadedDocument) -> StatusRecord | None:
        subject = document.specification.subject.name
        last = self._record.assessments(subject, limit=1)
        step = elapse(
            document.specification.status_policy,
            self._record.status(subject),
            last[0].ended if last else None,
            self._now(),
        )
        if step is not None:
            self._record.append([draft(step)])
        return step

    def plan(self, document: LoadedDocument, due: Iterable[str] | None = None) -> Plan:
        """Return what a run would do."""
        subject = document.specification.subject.name
        last = self._record.assessments(subject, limit=1)
        durations = {each.path: each.duration_ms for each in self._record.observations(last[0].id)} if last else {}
        return plan(
            document,
            None if due is None else set(due),
            self._connections,
            subject=last[0].subject if last else None,
            durations=durations,
            workers=self._home.settings.workers,
        )

    async def _cycle(self, document: LoadedDocument, waiting: list[Trigger]) -> Collection:
        """Collect once for all triggers that wait."""
        subject = await self._resolve(document.specification.subject, self._connections)
        # A trigger of another machine may have a later time; a run never begins before what it answers.
        started = max([self._now(), *(each.received for each in waiting)])
        due, previous = await asyncio.to_thread(self._due, document, waiting, subject)
        trigger = merged(waiting).model_copy(update={"requirements": sorted(due or ())})
        answers = await self._collect(document, due, subject)
        old = carried(previous, due, document) if due is not None and previous is not None else []
        collection = Collection.model_construct(
            id=new_id("c", started),
            subject=subject,
            specification=document.digest,
            trigger=trigger,
            started=started,
            ended=max(started, self._now()),
            leaves=[*answers.leaves, *old],
            engine_version=_version(),
        )
        await _finished(self._keep, document, collection)
        return collection

    def _due(
        self, document: LoadedDocument, waiting: list[Trigger], subject: SubjectFacts
    ) -> tuple[frozenset[str] | None, Collection | None]:
        """Return what is due and the collection that has the rest.

        Evidence about another version, or collected for another document, answers nothing: then all is due.
        """
        asked = merged(waiting).requirements
        known = {node.path for node in document.requirements}
        last = self._record.assessments(subject.name, limit=1)
        same = bool(last) and last[0].specification == document.digest and last[0].subject == subject
        if not asked or not known.issuperset(asked) or (last and not same):
            return None, None
        return expand(document, asked), self._record.collection(last[0].collection) if last else None

    async def _collect(self, document: LoadedDocument, due: frozenset[str] | None, subject: SubjectFacts) -> Answers:
        settings = self._home.settings
        planned = plan(document, due, self._connections, subject=subject, workers=settings.workers)
        collector = Collector(
            self._connections,
            self._store,
            workers=settings.workers,
            deadline=self._deadline.total_seconds(),
            now=self._now,
            plugins=self._plugins,
            progress=self._progress,
        )
        answers = await collector.collect(planned, subject)
        self._bodies = answers.bodies
        return answers

    def _store(self, batch: list[tuple[Evidence, bytes]]) -> None:
        for evidence, body in batch:
            self._record.put_evidence(evidence, body)

    @uncollected()
    def _keep(self, document: LoadedDocument, collection: Collection) -> None:
        keep_document(self._record, collection.subject.name, document)
        self._record.append([draft(collection)])

    @uncollected()
    def _assess_all(self, subject: str, document: LoadedDocument | None) -> list[Assessed]:
        done = []
        for collection in self._record.pending_collections(subject):
            if document is None or document.digest != collection.specification:
                own = stored_document(self._record, collection.specification)
            else:
                own = document
            now = self._now()
            context = context_for(self._record, own, collection, now)
            result = assess(own, collection, self._body, context)
            self._record.append(drafts(result))
            done.append(result)
        self._bodies = {}
        return done

    def _body(self, digest: str) -> bytes | None:
        return self._bodies.get(digest) or self._record.evidence_body(digest)

    @property
    def _deadline(self) -> dt.timedelta:
        return parse_duration(self._home.settings.run_deadline)

    @asynccontextmanager
    async def _lease(self, subject: str, purpose: str) -> AsyncIterator[None]:
        lease = self._record.lease(subject, purpose, seconds=_LEASE)
        entering = asyncio.ensure_future(asyncio.to_thread(lease.__enter__))
        try:
            await asyncio.shield(entering)
        except asyncio.CancelledError:
            with suppress(RunBusyError):
                await entering
                await asyncio.to_thread(lease.__exit__, None, None, None)
            raise
        try:
            yield
        finally:
            await _finished(lease.__exit__, None, None, None)


def confirming(record: Record, document: LoadedDocument, now: dt.datetime) -> Trigger | None:
    """Return a trigger for a complete run when a partial one passed, because the status only rises by a full pass."""
    subject = document.specification.subject.name
    status = record.status(subject)
    last = record.assessments(subject, limit=1)
    raisable = status is not None and status.status in {Status.CONDITIONAL, Status.SUSPENDED}
    if not raisable or not last or last[0].complete:
        return None  # what was revoked is not taken up again by itself
    found = outcome(record.findings(last[0].id), document.specification.status_policy, None)
    if found.grave or found.light or found.waived or not found.satisfied:
        return None
    return Trigger(id=f"confirm-{last[0].id}", kind="schedule", source="confirm a pass", subject=subject, received=now)


def drafts(assessed: Assessed) -> list[Draft]:
    """Return all entries of an assessment, for one transaction."""
    subject = assessed.assessment.subject.name
    return [
        *(draft(each, subject=subject) for each in assessed.observations),
        *(draft(each, subject=subject) for each in assessed.findings),
        draft(assessed.assessment),
        # Keys without a time: should two processes ever assess one collection, the second changes nothing.
        *(
            draft(each, key=f"{assessed.assessment.id}:{'step' if each.assessment else 'time'}")
            for each in assessed.statuses
        ),
    ]
