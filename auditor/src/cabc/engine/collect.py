"""Retrieve what a plan asks for, each question once, and keep the answers as evidence.

A check that breaks is recorded as an error of its leaf; the run goes on. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cabc.engine.plan import Plan, Query
from cabc.interfaces.base import Connection, InterfacePlugin, Retrieved, RetrieveError, SubjectFacts
from cabc.interfaces.redaction import redact, redact_text
from cabc.interfaces.registry import plugin
from cabc.record.types import Evidence, LeafEvidence
from cabc.text import one_line

__all__ = ["MAX_EVIDENCE", "Answers", "Collector", "Progress"]

MAX_EVIDENCE = 1_000_000
"""Bytes of one piece of evidence, whatever a connection allows."""

_BATCH = 256
_BATCH_BYTES = 4_000_000

Progress = Callable[[int, int, str], None]
"""Called after each query with the number done, the number in all, and the path of its first leaf."""


@dataclass(frozen=True, slots=True)
class _Answer:
    evidence: Evidence | None
    error: str | None
    duration_ms: float


@dataclass
class Answers:
    """What a collector got, by leaf."""

    leaves: list[LeafEvidence] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    """Bytes by digest, as far as they are kept in memory."""


class Collector:
    """Runs the queries of one plan within its limits."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        store: Callable[[list[tuple[Evidence, bytes]]], None],
        *,
        workers: int = 32,
        deadline: float = 600.0,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        plugins: Callable[[str], Any] = plugin,
        progress: Progress | None = None,
        keep_bytes: int = 32_000_000,
    ) -> None:
        self._connections = connections
        self._store = store
        self._workers = workers
        self._deadline = deadline
        self._now = now
        self._plugins = plugins
        self._progress = progress
        self._keep_bytes = keep_bytes
        self._instances: dict[str, InterfacePlugin[Any, Any]] = {}
        self._answers: dict[str, _Answer] = {}
        self._waiting: dict[str, tuple[Evidence, bytes]] = {}
        self._waiting_bytes = 0
        self._bodies: dict[str, bytes] = {}
        self._kept = 0
        self._done = 0

    async def collect(self, plan: Plan, subject: SubjectFacts) -> Answers:
        """Ask everything and store the evidence; what has no answer when the run's time is over is an error."""
        lanes: dict[str, list[Query]] = {}
        for query in plan.queries:
            lanes.setdefault(query.connection or "", []).append(query)
        free = asyncio.Semaphore(self._workers)
        try:
            async with asyncio.timeout(self._deadline):
                async with asyncio.TaskGroup() as group:
                    for name, queries in lanes.items():
                        todo = iter(queries)
                        for _ in range(min(self._lane_width(name), len(queries))):
                            group.create_task(self._work(todo, free, subject, len(plan.queries)))
        except TimeoutError:
            pass  # what has an answer counts; the rest gets its error below
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # the record cannot be written: nothing to go on with
        finally:
            await self._close()
        await self._flush()
        return Answers(self._by_leaf(plan), self._bodies)

    def _lane_width(self, name: str) -> int:
        known = self._connections.get(name)
        return min(self._workers, known.max_concurrent) if known else self._workers

    async def _work(self, todo: Iterable[Query], free: asyncio.Semaphore, subject: SubjectFacts, total: int) -> None:
        for query in todo:
            async with free:
                self._answers[query.key] = await self._ask(query, subject)
            self._done += 1
            if self._progress:
                self._progress(self._done, total, (*query.values, *query.targets)[0])
            if len(self._waiting) >= _BATCH or self._waiting_bytes >= _BATCH_BYTES:
                await self._flush()

    async def _ask(self, query: Query, subject: SubjectFacts) -> _Answer:
        connection = self._connections.get(query.connection or "")
        patterns = connection.redact if connection else []
        started = time.perf_counter()
        try:
            async with asyncio.timeout(query.timeout):
                answer = await self._instance(query.spec.kind).retrieve(query.spec, connection, subject)
            return _Answer(self._keep(answer, connection, patterns), None, (time.perf_counter() - started) * 1000)
        except TimeoutError:
            reason = f"no answer within {query.timeout:g} s"
        except RetrieveError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 (a broken check is recorded, and the run goes on)
            reason = f"{type(error).__name__}: {error}"
        return _Answer(None, one_line(redact_text(reason, patterns), limit=500), (time.perf_counter() - started) * 1000)

    def _instance(self, kind: str) -> InterfacePlugin[Any, Any]:
        if kind not in self._instances:
            self._instances[kind] = self._plugins(kind)()
        return self._instances[kind]

    def _keep(self, answer: Retrieved, connection: Connection | None, patterns: list[str]) -> Evidence:
        limit = min(connection.max_bytes, MAX_EVIDENCE) if connection else MAX_EVIDENCE
        if len(answer.body) > limit:
            msg = f"the answer has {len(answer.body)} bytes and may have {limit}"
            raise RetrieveError(msg)
        body, changed = redact(answer.body, patterns)
        if len(body) > MAX_EVIDENCE:
            msg = f"the answer has {len(body)} bytes after redaction and may have {MAX_EVIDENCE}"
            raise RetrieveError(msg)
        evidence = Evidence(
            digest=f"sha256:{hashlib.sha256(body).hexdigest()}",
            media_type=answer.media_type,
            size=len(body),
            collected=self._now(),
            origin=one_line(redact_text(answer.origin, patterns), limit=500),
            details={key: redact_text(value, patterns) for key, value in answer.details.items()},
            redacted=changed,
        )
        if evidence.digest not in self._waiting:
            self._waiting[evidence.digest] = (evidence, body)
            self._waiting_bytes += len(body)
        if self._kept + len(body) <= self._keep_bytes and evidence.digest not in self._bodies:
            self._bodies[evidence.digest] = body
            self._kept += len(body)
        return evidence

    async def _flush(self) -> None:
        batch, self._waiting, self._waiting_bytes = list(self._waiting.values()), {}, 0
        if batch:
            await asyncio.to_thread(self._store, batch)

    async def _close(self) -> None:
        for instance in self._instances.values():
            try:
                async with asyncio.timeout(5):
                    await instance.close()
            except Exception:  # noqa: BLE001, S112 (what was collected counts, however its plugin ends)
                continue

    def _by_leaf(self, plan: Plan) -> list[LeafEvidence]:
        late = _Answer(None, f"no answer within the run's deadline of {self._deadline:g} s", 0.0)
        values: dict[str, tuple[_Answer, bool]] = {}
        targets: dict[str, tuple[_Answer, bool]] = {}
        for query in plan.queries:
            answer, shared = self._answers.get(query.key, late), False
            for found, paths in ((values, query.values), (targets, query.targets)):
                for path in paths:
                    found[path] = (answer, shared)
                    shared = True
        missing = {each.path: each.reason for each in plan.missing}
        manual = set(plan.manual)
        return [
            _leaf(leaf.path, missing.get(leaf.path), values.get(leaf.path), targets.get(leaf.path))
            for leaf in plan.leaves
            if leaf.path not in manual or leaf.path in targets
        ]


def _leaf(
    path: str, missing: str | None, value: tuple[_Answer, bool] | None, target: tuple[_Answer, bool] | None
) -> LeafEvidence:
    answers = [each for each in (value, target) if each is not None]
    error = missing or (value[0].error if value else None)
    if error is None and target and target[0].error:
        error = f"target: {target[0].error}"
    return LeafEvidence(
        path=path,
        value=value[0].evidence if value else None,
        target=target[0].evidence if target else None,
        error=error,
        duration_ms=round(max((answer.duration_ms for answer, _ in answers), default=0.0), 3),
        shared=bool(answers) and all(shared for _, shared in answers),
    )
