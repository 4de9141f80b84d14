"""Background work: one task a subject, failures that wait longer and longer, an end that gives work back."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cabc.record.database import DatabaseRecord
from cabc.record.store import RunBusyError
from cabc.record.types import Publication
from cabc.service.documents import Documents
from cabc.service.metrics import Metrics
from cabc.service.steps import EngineSteps
from cabc.service.worker import Worker

from tests.auditor.service.conftest import make_app
from tests.support.server import metric
from tests.support.service import NOW, OTHER, SUBJECT

pytestmark = pytest.mark.anyio


@dataclass
class Steps:
    """Remembers how many ran at once; does what a test says."""

    seconds: float = 0.0
    errors: list[Exception] = field(default_factory=list)
    work: int = 0
    names: Sequence[str] = ("collect",)
    calls: list[str] = field(default_factory=list)
    finished: int = 0
    cancelled: int = 0
    now: dict[str, int] = field(default_factory=dict)
    most: int = 0

    async def step(self, name: str, subject: str) -> bool:
        assert name in self.names
        self.calls.append(subject)
        self.now[subject] = self.now.get(subject, 0) + 1
        self.most = max(self.most, self.now[subject])
        try:
            await asyncio.sleep(self.seconds)
            self.finished += 1
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now[subject] -= 1
        if self.errors:
            raise self.errors.pop(0)
        self.work -= 1
        return self.work >= 0

    def publish(self, subject: str) -> Publication:
        raise NotImplementedError


def worker(record: DatabaseRecord, steps: Steps, subjects: Sequence[str] = (SUBJECT,), poll: float = 60.0) -> Worker:
    metrics = Metrics(record, lambda: list(subjects), lambda: NOW)
    return Worker(steps, Documents([], record), lambda: subjects, metrics, poll)


async def until(condition: object, seconds: float = 5.0) -> None:
    for _ in range(int(seconds / 0.01)):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen")


async def test_a_subject_has_one_task_and_what_comes_meanwhile_is_not_lost(record: DatabaseRecord) -> None:
    steps = Steps(seconds=0.05)
    work = worker(record, steps, (SUBJECT, OTHER))
    await work.start()
    await until(lambda: len(steps.calls) == 2)
    for _ in range(20):
        work.wake()
        await asyncio.sleep(0.005)
    await until(lambda: steps.calls.count(SUBJECT) >= 3)
    await work.stop(5)
    assert steps.most == 1
    assert steps.calls.count(SUBJECT) < 15  # woken twenty times: merged


@pytest.mark.parametrize("turns", range(6))
async def test_it_stops_also_when_it_is_woken_at_that_moment(record: DatabaseRecord, turns: int) -> None:
    work = worker(record, Steps(), poll=60)
    await work.start()
    await asyncio.sleep(0.1)
    assert work._wake is not None
    work._wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.wait_for(work.stop(1), 20)


async def test_steps_go_on_while_there_is_work(record: DatabaseRecord) -> None:
    steps = Steps(work=3)
    work = worker(record, steps)
    await work.start()
    await until(lambda: len(steps.calls) == 4)
    await asyncio.sleep(0.05)
    assert len(steps.calls) == 4
    await work.stop(1)


async def test_a_failing_step_waits_longer_each_time_and_others_go_on(record: DatabaseRecord) -> None:
    clock = [0.0]
    steps = Steps(errors=[RuntimeError("broken")] * 3)
    work = worker(record, steps, poll=0.02)
    work.clock = lambda: clock[0]
    await work.start()
    await until(lambda: len(steps.calls) == 1)
    start = 0.0
    for pause, calls in ((1, 2), (2, 3), (4, 4)):
        clock[0] = start + pause - 0.1
        await asyncio.sleep(0.2)
        assert len(steps.calls) == calls - 1
        start = clock[0] = start + pause + 0.1
        await until(lambda calls=calls: len(steps.calls) >= calls)
    await work.stop(1)


async def test_a_busy_subject_is_no_failure(record: DatabaseRecord) -> None:
    steps = Steps(errors=[RunBusyError("held")])
    work = worker(record, steps)
    await work.start()
    await until(lambda: len(steps.calls) == 1)
    await asyncio.sleep(0.05)
    work.wake()
    await until(lambda: len(steps.calls) == 2)
    await work.stop(1)


async def test_stopping_lets_work_finish_within_the_grace(record: DatabaseRecord) -> None:
    steps = Steps(seconds=0.3)
    work = worker(record, steps)
    await work.start()
    await until(lambda: steps.calls)
    await work.stop(5)
    assert (steps.finished, steps.cancelled) == (1, 0)


async def test_stopping_gives_back_what_takes_too_long(record: DatabaseRecord) -> None:
    steps = Steps(seconds=30)
    work = worker(record, steps)
    await work.start()
    await until(lambda: steps.calls)
    await work.stop(0.1)
    assert (steps.finished, steps.cancelled) == (0, 1)


async def test_a_worker_that_hangs_is_told_by_readiness(record: DatabaseRecord) -> None:
    clock = [0.0]
    work = worker(record, Steps(), poll=1.0)
    work.clock = lambda: clock[0]
    assert work.healthy()
    await work.start()
    await asyncio.sleep(0.05)
    clock[0] = 1000.0
    assert not work.healthy()
    await work.stop(1)


def test_a_broken_document_does_not_replace_a_good_one(folder: Path, record: DatabaseRecord) -> None:
    file = folder / "credit.yaml"
    documents = Documents([file], record)
    before = documents.current(SUBJECT)
    assert before is not None
    good = file.read_text()
    file.write_text(good.replace("severity: critical", "severity: terrible"))
    assert documents.refresh() == []
    assert documents.current(SUBJECT) is before
    assert "terrible" in (documents.problem(SUBJECT) or "")
    file.write_text(good.replace("version: 3", "version: 4"))
    assert documents.refresh() == [SUBJECT]
    assert documents.problem(SUBJECT) is None
    changed = documents.current(SUBJECT)
    assert changed is not None
    assert changed.specification.version == 4
    assert documents.at(before.digest) is not None  # the earlier one is in the record


def test_two_documents_for_one_subject_are_refused(folder: Path, record: DatabaseRecord) -> None:
    second = folder / "second.yaml"
    shutil.copy(folder / "credit.yaml", second)
    documents = Documents([folder / "credit.yaml", second], record)
    assert documents.subjects() == [SUBJECT]
    assert "already" in str(documents.problems[second])


async def test_a_changed_document_is_a_reason_to_assess(folder: Path, record: DatabaseRecord) -> None:
    app = make_app(folder, record)
    state = app.state.cabc
    file = folder / "credit.yaml"
    file.write_text(file.read_text().replace("version: 3", "version: 4"))
    assert state.documents.refresh() == [SUBJECT]
    from cabc.engine.auditor import Auditor

    steps = EngineSteps(state, Auditor(state.home, record, {}, now=state.now))
    document = state.documents.current(SUBJECT)
    for _ in range(3):  # looking again asks for nothing more
        waiting = steps._asked(SUBJECT, document)
    assert [(item.kind, item.source) for item in waiting] == [("file", "specification changed")]


async def test_what_is_due_is_asked_for_once_and_missed_runs_are_counted(folder: Path, record: DatabaseRecord) -> None:
    from cabc.engine.auditor import Auditor

    app = make_app(folder, record)
    state = app.state.cabc
    moments = [NOW]
    state.now = lambda: moments[0]
    steps = EngineSteps(state, Auditor(state.home, record, {}, now=state.now))
    document = state.documents.current(SUBJECT)
    for _ in range(3):
        waiting = steps._asked(SUBJECT, document)
    (trigger,) = waiting
    assert trigger.kind == "schedule"
    assert trigger.requirements == ["record-keeping/logs", "security/supply-chain"]  # PT15M and P1D; a day went by
    text = state.metrics.text().decode()
    assert metric(text, "cabc_missed_runs_total", subject=SUBJECT) == 95

    other = state.documents.current(OTHER)  # P1D, collected a day ago
    moments[0] = NOW - dt.timedelta(hours=1)
    assert steps._asked(OTHER, other) == []
    moments[0] = NOW - dt.timedelta(minutes=1)
    assert steps._asked(OTHER, other) == []
    moments[0] = NOW + dt.timedelta(minutes=1)
    assert [item.kind for item in steps._asked(OTHER, other)] == ["schedule"]


async def test_a_waiver_is_a_reason_to_assess_when_it_begins_and_when_it_ends(
    folder: Path, record: DatabaseRecord
) -> None:
    from cabc.engine.auditor import Auditor
    from cabc.record.chain import draft

    from tests.support.cabc import waiver

    app = make_app(folder, record)
    state = app.state.cabc
    moments = [NOW]
    state.now = lambda: moments[0]
    steps = EngineSteps(state, Auditor(state.home, record, {}, now=state.now))
    document = state.documents.current(SUBJECT)
    record.append([draft(waiver("w1", requirement="data-governance/bias", created=NOW))])

    def sources() -> list[str]:
        return [item.source for item in steps._asked(SUBJECT, document) if item.source.startswith("w1")]

    assert sources() == ["w1 begins"]
    moments[0] = NOW + dt.timedelta(minutes=59)
    assert sources() == ["w1 begins"]
    moments[0] = NOW + dt.timedelta(hours=1)
    assert sources() == ["w1 begins", "w1 ends"]
