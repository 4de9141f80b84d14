"""The thread that moves events into the database outlives whatever goes wrong, and loses nothing by it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy
from platform_runtime.prediction_log import metrics
from platform_runtime.prediction_log.events import Event, from_http
from platform_runtime.prediction_log.marking import Marking
from platform_runtime.prediction_log.spool import Spool
from platform_runtime.prediction_log.storing import Outcome, Store
from platform_runtime.prediction_log.writer import EVENT, Writer
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tests.support.prediction_log import Database, answer, ask, headers

pytestmark = [pytest.mark.backend, pytest.mark.timeout(60)]

KEY = b"0123456789abcdef"


class Troubled(Store):
    """A store that fails some times before it works, and for one id always."""

    def __init__(self, *troubles: Exception, never: str = "") -> None:
        super().__init__(Marking({}, KEY), KEY)
        self.troubles = list(troubles)
        self.never = never

    def put(self, connection: sqlalchemy.Connection, events: Sequence[Event]) -> Outcome:
        if self.troubles:
            raise self.troubles.pop(0)
        if self.never in {event.id for event in events}:
            raise ValueError("year -1 is out of range")
        return super().put(connection, events)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Two predictions that wait."""
    found = Spool(tmp_path, 1 << 20)
    for request_id in "ab":
        for kind, body in (("request", ask()), ("response", answer())):
            given = [(name.encode(), value.encode()) for name, value in headers(kind, request_id).items()]
            found.append([EVENT + event.pack() for event in from_http(given, json.dumps(body).encode(), time.time())])
    yield found
    found.close()


def run(spool: Spool, engine: sqlalchemy.Engine, store: Store) -> None:
    """Let a writer work until nothing waits."""
    writer = Writer(spool, engine, store, "")
    writer.start()
    while writer.is_alive() and spool.pending:
        pass
    assert writer.is_alive()
    writer.stop()


def test_whatever_goes_wrong_is_counted_and_tried_again(
    spool: Spool, engine: sqlalchemy.Engine, database: Database
) -> None:
    before = metrics.WRITE_FAILURES._value.get()
    run(spool, engine, Troubled(PoolTimeoutError("no connection within 30 s"), RuntimeError("ours"), OSError("disk")))
    assert metrics.WRITE_FAILURES._value.get() == before + 3
    assert database.query("SELECT request_id, status FROM requests ORDER BY 1") == [("a", 200), ("b", 200)]


def test_what_the_driver_cannot_read_holds_up_no_others(
    spool: Spool, engine: sqlalchemy.Engine, database: Database
) -> None:
    run(spool, engine, Troubled(never="a"))
    assert database.query("SELECT request_id FROM requests") == [("b",)]
    assert database.query("SELECT request_id, kind FROM dead_letters ORDER BY 2") == [
        ("a", "request"),
        ("a", "response"),
    ]
