"""Cycles end to end: a backend, a document, a real record."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from cabc.engine.auditor import Auditor, RunResult
from cabc.errors import CabcError
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord
from cabc.record.types import Attestation, BaselinePin, Status, Verdict, Waiver

from tests.support.cabc_engine import Backend, Clock, auditor, document, leaf, model, record, requirement, trigger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> Iterator[DatabaseRecord]:
    with record(tmp_path, clock) as opened:
        yield opened


def run(engine: Auditor, spec: object, clock: Clock, *requirements: str) -> RunResult:
    clock.pass_(minutes=1)
    return asyncio.run(engine.run(spec, trigger(clock, *requirements)))  # type: ignore[arg-type]


def status(book: DatabaseRecord) -> Status:
    found = book.status("scoring")
    return found.status if found else Status.NONE


def test_first_model_conforms_second_is_suspended_and_traced_to_its_risk(
    tmp_path: Path, book: DatabaseRecord, clock: Clock
) -> None:
    backend = Backend({"/ratio": 0.9, "/rows": 2000})
    spec = document(
        requirement("equal", leaf("ratio"), mitigates=["R1"]),
        requirement("data", leaf("rows", 1500), severity="high"),
        risks=[{"id": "R1", "statement": "Unequal", "likelihood": "low", "impact": "high"}],
    )
    engine = auditor(tmp_path, book, backend, clock=clock)

    first = run(engine, spec, clock)
    assert (first.status and first.status.status) == Status.CONFORMANT
    assert first.assessed[0].assessment.verdict == Verdict.SATISFIED
    assert first.assessed[0].assessment.complete
    assert [each.reason for each in book.observations(first.assessed[0].assessment.id)] == [
        "found 0.9, wanted at least 0.8",
        "found 2000, wanted at least 1500",
    ]

    backend.values["/ratio"] = 0.6
    second = run(engine, spec, clock)
    finding = second.assessed[0].findings[0]
    assert status(book) == Status.SUSPENDED
    assert (finding.requirement, finding.risks, finding.failing) == ("d/equal", ["R1"], ["d/equal/m/ratio"])
    assert book.status("scoring").cause == "d/equal is not-satisfied (severity critical or above)"  # type: ignore[union-attr]
    observation = next(iter(book.observations(second.assessed[0].assessment.id)))
    assert book.evidence_body(observation.evidence[0]) == b"0.6"


def test_waiver_makes_it_conditional_until_it_expires(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    backend = Backend({"/ratio": 0.6})
    engine, spec = auditor(tmp_path, book, backend, clock=clock), document(requirement("equal", leaf("ratio")))
    run(engine, spec, clock)
    assert status(book) == Status.SUSPENDED

    waiver = Waiver(
        id="w1", subject="scoring", requirement="d/equal", reason="retraining", approver="bob",
        created=clock(), expires=clock() + dt.timedelta(hours=1),
    )  # fmt: skip
    book.append([draft(waiver)])
    found = run(engine, spec, clock)
    assert status(book) == Status.CONDITIONAL
    assert found.assessed[0].findings[0].waiver == "w1"
    assert found.assessed[0].findings[0].verdict == Verdict.NOT_SATISFIED

    clock.pass_(hours=2)
    run(engine, spec, clock)
    assert status(book) == Status.SUSPENDED

    backend.values["/ratio"] = 0.9
    run(engine, spec, clock)
    assert status(book) == Status.CONFORMANT
    assert [each.status for each in book.history("scoring")] == [
        Status.CONFORMANT, Status.SUSPENDED, Status.CONDITIONAL, Status.SUSPENDED,
    ]  # fmt: skip


def test_broken_check_is_a_finding_and_the_run_goes_on(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    backend = Backend({"/good": 1, "/bad": ZeroDivisionError("oops"), "/text": "0.9"})
    spec = document(requirement("a", leaf("bad"), leaf("good")), requirement("b", leaf("gone"), leaf("text")))

    result = run(auditor(tmp_path, book, backend, clock=clock), spec, clock).assessed[0]

    assert {each.path.rsplit("/", 1)[1]: (each.verdict.value, each.reason) for each in result.observations} == {
        "bad": ("error", "ZeroDivisionError: oops"),
        "good": ("satisfied", "found 1, wanted at least 0.8"),
        "gone": ("error", "404 for /gone"),
        "text": ("error", "found text ('0.9'), wanted a number; declare `cast: numeric` at its interface"),
    }
    assert [each.verdict for each in result.findings] == [Verdict.ERROR, Verdict.ERROR]
    assert status(book) == Status.SUSPENDED


def test_partial_run_takes_the_rest_from_before_and_only_a_full_pass_lifts(
    tmp_path: Path, book: DatabaseRecord, clock: Clock
) -> None:
    backend = Backend({"/a": 1, "/b": 1})
    spec = document(requirement("a", leaf("a")), requirement("b", leaf("b", maxAge="PT10M")))
    engine = auditor(tmp_path, book, backend, clock=clock)
    run(engine, spec, clock)
    backend.asked.clear()

    partial = run(engine, spec, clock, "d/a").assessed[0]
    assert backend.asked == ["/a"]
    assert [each.source for each in partial.observations] == ["fresh", "cached"]
    assert not partial.assessment.complete
    assert status(book) == Status.CONFORMANT

    clock.pass_(minutes=10)
    stale = run(engine, spec, clock, "d/a").assessed[0]
    assert stale.observations[1].reason == "stale: the evidence is 12 min old and may be 10 min"
    assert status(book) == Status.SUSPENDED

    backend.asked.clear()
    again = run(engine, spec, clock, "d/b")
    assert [each.assessment.complete for each in again.assessed] == [False, True]
    assert backend.asked == ["/b", "/a", "/b"], "a partial pass is confirmed by one full run"
    assert status(book) == Status.CONFORMANT


def test_partial_first_run_issues_nothing(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    backend = Backend({"/a": 1, "/b": 1})
    spec = document(requirement("a", leaf("a")), requirement("b", leaf("b")))

    result = run(auditor(tmp_path, book, backend, clock=clock), spec, clock, "d/a").assessed[0]

    assert [each.verdict for each in result.observations] == [Verdict.SATISFIED, Verdict.NOT_EVALUATED]
    assert result.assessment.verdict == Verdict.NOT_EVALUATED
    assert book.status("scoring") is None


def test_another_version_or_document_makes_everything_due(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    backend = Backend({"/a": 1, "/b": 1})
    parts = (requirement("a", leaf("a")), requirement("b", leaf("b")))
    engine = auditor(tmp_path, book, backend, clock=clock)
    run(engine, document(*parts), clock)

    moved = run(engine, document(*parts, subject=model("2")), clock, "d/a").assessed[0]
    assert moved.assessment.complete
    assert (book.status("scoring").version, len(book.history("scoring"))) == ("2", 2)  # type: ignore[union-attr]
    changed = run(engine, document(*parts, version=2), clock, "d/a").assessed[0]
    assert changed.assessment.complete


def test_attestation_answers_until_it_expires(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    manual = {
        "id": "look", "interface": {"kind": "manual", "question": "Does a person look?"},
        "dataType": "boolean", "comparison": "EqualTo", "target": True,
    }  # fmt: skip
    engine, spec = auditor(tmp_path, book, Backend({}), clock=clock), document(requirement("oversight", manual))

    missing = run(engine, spec, clock).assessed[0].observations[0]
    assert (missing.verdict, missing.reason) == (Verdict.NEEDS_REVIEW, "nobody has attested: Does a person look?")

    said = Attestation(
        id="m1", subject="scoring", path="d/oversight/m/look", statement="yes", value=True, party="carol",
        created=clock(), valid_until=clock() + dt.timedelta(days=1),
    )  # fmt: skip
    book.append([draft(said)])
    given = run(engine, spec, clock).assessed[0].observations[0]
    assert (given.verdict, given.source) == (Verdict.SATISFIED, "attestation")
    assert status(book) == Status.CONFORMANT

    clock.pass_(days=2)
    expired = run(engine, spec, clock).assessed[0].observations[0]
    assert expired.verdict == Verdict.NEEDS_REVIEW
    assert "the attestation of carol expired at" in expired.reason


def test_target_relative_to_the_pinned_baseline(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    backend = Backend({"/auc": 0.8})
    spec = document(requirement("auc", leaf("auc", {"baseline": "pinned", "relative": -0.05})))
    engine = auditor(tmp_path, book, backend, clock=clock)

    without = run(engine, spec, clock).assessed[0].observations[0]
    assert without.reason.startswith("no pinned baseline has a value")

    plain = document(requirement("auc", leaf("auc", 0.5)))
    pinned = run(engine, plain, clock).assessed[0].assessment.id
    pin = BaselinePin(id="b1", subject="scoring", assessment=pinned, reason="first", actor="bob", created=clock())
    book.append([draft(pin)])
    for value, verdict in ((0.76, Verdict.SATISFIED), (0.759, Verdict.NOT_SATISFIED)):
        backend.values["/auc"] = value
        judged = run(engine, spec, clock).assessed[0].observations[0]
        assert (judged.target, judged.verdict) == (0.76, verdict)


def test_collection_of_a_killed_run_is_assessed_first(tmp_path: Path, book: DatabaseRecord, clock: Clock) -> None:
    backend = Backend({"/a": 0.1})
    spec = document(requirement("a", leaf("a")))
    engine = auditor(tmp_path, book, backend, clock=clock)
    book.append([draft(trigger(clock))])
    left = asyncio.run(engine.collect_pending(spec))  # and then the process is killed
    assert left is not None

    backend.values["/a"] = 1
    result = run(auditor(tmp_path, book, backend, clock=clock), spec, clock)

    assert result.assessed[0].assessment.collection == left.id
    assert [each.assessment.verdict for each in result.assessed] == [Verdict.NOT_SATISFIED, Verdict.SATISFIED]
    assert book.pending_collections("scoring") == []


def test_triggers_during_a_run_lead_to_exactly_one_more(tmp_path: Path, book: DatabaseRecord) -> None:
    backend = Backend({"/a": 1, "/b": 1}, delay=1.0)
    spec = document(requirement("a", leaf("a")), requirement("b", leaf("b")))
    engine = auditor(tmp_path, book, backend)

    def now() -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    async def many() -> list[RunResult]:
        running = asyncio.Event()
        backend.hook = lambda _: running.set()
        first = asyncio.create_task(engine.run(spec, trigger(now)))
        await running.wait()
        late = [engine.run(spec, trigger(now, "d/a")) for _ in range(3)]
        late += [engine.run(spec, trigger(now, "d/b")) for _ in range(3)]
        return list(await asyncio.gather(first, *late))

    results = asyncio.run(many())

    assert len(book.assessments("scoring")) == 2
    assert book.triggers("scoring") == []
    assert len(book.triggers("scoring", pending=False)) == 7
    assert sorted(len(each.assessed) for each in results) == [0, 0, 0, 0, 0, 0, 2]
    assert all(each.status and each.status.status == Status.CONFORMANT for each in results)


def test_cancelled_run_records_nothing_half_and_gives_the_subject_back(tmp_path: Path, book: DatabaseRecord) -> None:
    backend = Backend({"/a": 1}, delay=30)
    spec = document(requirement("a", leaf("a")))
    engine = auditor(tmp_path, book, backend)

    async def cancelled() -> None:
        running = asyncio.Event()
        backend.hook = lambda _: running.set()
        task = asyncio.create_task(engine.run(spec, trigger(lambda: dt.datetime.now(dt.UTC))))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert book.assessments("scoring") == []
    assert len(book.triggers("scoring")) == 1

    backend.delay = 0
    result = asyncio.run(engine.run(spec, trigger(lambda: dt.datetime.now(dt.UTC))))
    assert len(result.assessed) == 1
    assert book.triggers("scoring") == []


def test_requirement_that_is_not_there_is_refused_before_anything_is_recorded(
    tmp_path: Path, book: DatabaseRecord, clock: Clock
) -> None:
    spec = document(requirement("a", leaf("a")))

    with pytest.raises(CabcError, match="there is no requirement d/x"):
        run(auditor(tmp_path, book, Backend({}), clock=clock), spec, clock, "d/x")
    assert book.triggers("scoring") == []


def test_failures_are_counted_over_the_runs_that_judged_a_requirement(
    tmp_path: Path, book: DatabaseRecord, clock: Clock
) -> None:
    backend = Backend({"/a": 1, "/b": 1})
    policy = {"down": {"failures": 2, "of": 2}}
    spec = document(requirement("a", leaf("a")), requirement("b", leaf("b")), statusPolicy=policy)
    engine = auditor(tmp_path, book, backend, clock=clock)
    run(engine, spec, clock)

    backend.values["/a"] = 0
    run(engine, spec, clock, "d/a")
    assert status(book) == Status.CONDITIONAL
    for _ in range(4):
        run(engine, spec, clock, "d/b")
        assert status(book) == Status.CONDITIONAL
    run(engine, spec, clock, "d/a")
    assert status(book) == Status.SUSPENDED
