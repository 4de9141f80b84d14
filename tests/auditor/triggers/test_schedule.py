"""When requirements are due, and what happens when they were not run."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from cabc.record.types import Trigger
from cabc.triggers.schedule import due_trigger, last_collected, next_run, ready, schedule
from hypothesis import given
from hypothesis import strategies as st

from tests.support.cabc_engine import NOW, Backend, Clock, auditor, document, leaf, record, requirement, trigger

HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("frequency", "after", "at", "missed"),
    [
        ("PT15M", dt.timedelta(minutes=14), dt.timedelta(minutes=15), 0),
        ("PT15M", dt.timedelta(minutes=15), dt.timedelta(minutes=15), 0),
        ("PT15M", dt.timedelta(minutes=29), dt.timedelta(minutes=15), 0),
        ("PT15M", dt.timedelta(minutes=50), dt.timedelta(minutes=15), 2),
        ("0 6 * * *", HOUR, 18 * HOUR, 0),
        ("0 6 * * *", 70 * HOUR, 18 * HOUR, 2),
        ("on-event", 1000 * HOUR, None, 0),
    ],
)
def test_next_run(frequency: str, after: dt.timedelta, at: dt.timedelta | None, missed: int) -> None:
    assert next_run(frequency, NOW, NOW + after) == (None if at is None else NOW + at, missed)


@given(st.integers(1, 10_000), st.integers(0, 1_000_000))
def test_a_run_is_due_exactly_when_its_time_has_come(interval: int, after: int) -> None:
    at, missed = next_run(f"PT{interval}S", NOW, NOW + dt.timedelta(seconds=after))

    assert at == NOW + dt.timedelta(seconds=interval)
    assert missed == (0 if after < interval else min(after // interval - 1, 1000))


def test_each_requirement_has_its_own_time(tmp_path: Path) -> None:
    clock = Clock()
    spec = document(
        requirement("fast", leaf("a"), frequency="PT5M"),
        requirement("slow", leaf("b")),
        requirement("event", leaf("c"), frequency="on-event"),
    )
    with record(tmp_path, clock) as book:
        engine = auditor(tmp_path, book, Backend({"/a": 1, "/b": 1}), clock=clock)
        first = due_trigger(book, spec, clock())
        assert first is not None
        assert first.requirements == []
        asyncio.run(engine.run(spec, first))

        found = schedule(spec, last_collected(book, spec), clock())
        assert found.due == ()
        assert found.next == NOW + dt.timedelta(minutes=5)
        assert due_trigger(book, spec, clock()) is None

        clock.pass_(minutes=17)
        again = due_trigger(book, spec, clock())
        assert again is not None
        assert (again.requirements, again.source) == (["d/fast"], "d/fast due, 2 missed")
        assert due_trigger(book, spec, clock()) == again, "the same state gives the same trigger"
        asyncio.run(engine.run(spec, again))

        clock.pass_(minutes=43)
        third = due_trigger(book, spec, clock())
        assert third is not None
        assert third.requirements == ["d/fast", "d/slow"]
        asyncio.run(engine.collect_pending(spec))
        last = last_collected(book, spec)
        assert last["d/event"] == NOW, "evidence that was never had is looked for in older runs"
        assert last["d/slow"] == NOW


def test_what_somebody_asked_for_is_not_asked_for_again(tmp_path: Path) -> None:
    from cabc.record.chain import draft

    clock = Clock()
    spec = document(requirement("a", leaf("a")))
    with record(tmp_path, clock) as book:
        book.append([draft(trigger(clock))])
        assert due_trigger(book, spec, clock()) is None


def test_bursts_of_events_become_one_run() -> None:
    def events(*seconds: float) -> list[Trigger]:
        return [
            Trigger(id=str(at), kind="webhook", source="x", subject="s", received=NOW + dt.timedelta(seconds=at))
            for at in seconds
        ]

    def at(seconds: float) -> dt.datetime:
        return NOW + dt.timedelta(seconds=seconds)

    assert not ready([], NOW)
    assert not ready(events(0, 0.5), at(1))
    assert ready(events(0, 0.5), at(1.5))
    assert ready(events(*(each / 2 for each in range(11))), at(5)), "a burst without an end does not wait for ever"
    assert ready([*events(0), trigger(Clock())], NOW), "people do not wait"
