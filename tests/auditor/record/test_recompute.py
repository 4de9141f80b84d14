"""Verdicts and status are judged again from evidence, with what was known at the time; a lie comes out."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc.engine.assess import Assessed, assess
from cabc.engine.auditor import Auditor, drafts
from cabc.engine.history import context_for
from cabc.engine.recompute import recompute
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord
from cabc.record.types import Status, Verdict, Waiver
from cabc.record.verify import verify

from tests.support.cabc_engine import Backend, Clock, auditor, document, leaf, record, requirement, trigger


@pytest.fixture
def clock() -> Clock:
    """Give a clock that tests move."""
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> Iterator[DatabaseRecord]:
    """Give a record whose time is the clock's."""
    with record(tmp_path, clock) as opened:
        yield opened


def _run(engine: Auditor, spec: Any, clock: Clock, *requirements: str) -> None:
    clock.pass_(minutes=1)
    asyncio.run(engine.run(spec, trigger(clock, *requirements)))


def _faults(book: DatabaseRecord, counts: Counter[str] | None = None) -> list[str]:
    return list(map(str, verify(book, keys=book.keys, recompute=recompute(book), counts=counts)))


def test_a_long_honest_history_comes_out_the_same(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    backend = Backend({"/a": 0.9, "/b": 1.0})
    spec = document(
        requirement("a", leaf("a")),
        requirement("b", leaf("b", maxAge="PT10M"), severity="high"),
        statusPolicy={"down": {"failures": 2, "of": 3}},
    )
    engine = auditor(tmp_path, book, backend, clock=clock)
    _run(engine, spec, clock)
    backend.values["/a"] = 0.5
    _run(engine, spec, clock)
    _run(engine, spec, clock)
    waiver = Waiver(
        id="w1",
        subject="scoring",
        requirement="d/a",
        reason="retraining",
        approver="bob",
        created=clock(),
        expires=clock() + dt.timedelta(hours=1),
    )
    book.append([draft(waiver)])
    _run(engine, spec, clock)
    clock.pass_(hours=2)
    _run(engine, spec, clock, "d/a")
    backend.values |= {"/a": 0.9, "/b": ZeroDivisionError("oops")}
    _run(engine, spec, clock)
    backend.values["/b"] = 1.0
    _run(engine, spec, clock)
    assert {each.status for each in book.history("scoring")} > {Status.CONFORMANT, Status.CONDITIONAL}
    counts: Counter[str] = Counter()
    assert _faults(book, counts) == []
    assert counts["assessments judged again"] == len(book.assessments("scoring")) == 7


def _lie(tmp_path: Path, book: DatabaseRecord, clock: Clock, change: Any) -> None:
    """Assess as the auditing party does, with its keys and all, and record something else."""
    spec = document(requirement("a", leaf("a")), requirement("b", leaf("b")))
    engine = auditor(tmp_path, book, Backend({"/a": 0.5, "/b": 1.0}), clock=clock)
    book.append([draft(trigger(clock))])
    asyncio.run(engine.collect_pending(spec))
    [collection] = book.pending_collections("scoring")
    honest = assess(spec, collection, book.evidence_body, context_for(book, spec, collection, clock()))
    book.append(drafts(change(honest)))


def _rosy(honest: Assessed) -> Assessed:
    passed = {"verdict": Verdict.SATISFIED}
    return Assessed(
        assessment=honest.assessment.model_copy(update=passed),
        observations=[each.model_copy(update=passed) for each in honest.observations],
        findings=[each.model_copy(update={**passed, "failing": []}) for each in honest.findings],
        statuses=[each.model_copy(update={"status": Status.CONFORMANT}) for each in honest.statuses],
    )


def test_verdicts_that_do_not_follow_from_the_evidence_are_named(
    tmp_path: Path, book: DatabaseRecord, clock: Clock
) -> None:
    _lie(tmp_path, book, clock, _rosy)
    faults = _faults(book)
    expected = [
        ":d/a/m/a: verdict is recorded as satisfied, the evidence gives not-satisfied",
        ":d/a: verdict is recorded as satisfied, the evidence gives not-satisfied",
        ":d/a: failing is recorded as [], the evidence gives ['d/a/m/a']",
        ": verdict is recorded as satisfied, the evidence gives not-satisfied",
        ":step: status is recorded as conformant, the evidence gives suspended",
    ]
    assert len(faults) == len(expected)
    assert all(fault.endswith(end) for fault, end in zip(faults, expected, strict=True)), faults


def test_a_finding_that_was_left_out_is_named(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    def without(honest: Assessed) -> Assessed:
        return Assessed(honest.assessment, honest.observations, honest.findings[1:], honest.statuses)

    _lie(tmp_path, book, clock, without)
    [fault] = _faults(book)
    assert "finding" in fault
    assert fault.endswith("follows from the evidence and is not recorded")


def test_an_observation_that_was_made_up_is_named(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    def more(honest: Assessed) -> Assessed:
        extra = honest.observations[1].model_copy(update={"path": "d/b/m/c"})
        return Assessed(honest.assessment, [*honest.observations, extra], honest.findings, honest.statuses)

    _lie(tmp_path, book, clock, more)
    [fault] = _faults(book)
    assert fault.endswith("d/b/m/c is recorded and does not follow from the evidence")


def test_a_status_step_that_was_made_up_is_named(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    def silent(honest: Assessed) -> Assessed:
        return Assessed(honest.assessment, honest.observations, honest.findings, [])

    _lie(tmp_path, book, clock, silent)
    [fault] = _faults(book)
    assert "statusrecord" in fault
    assert "is not recorded" in fault
