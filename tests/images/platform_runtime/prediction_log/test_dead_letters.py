"""Events that the database refused are kept, and brought back when it takes them."""

from __future__ import annotations

import datetime as dt
import time

import pytest
import sqlalchemy
from platform_runtime.prediction_log.events import from_http
from platform_runtime.prediction_log.replay import replay_dead_letters
from platform_runtime.prediction_log.writer import write_events

from tests.support.logged_predictions import STORE, log, tell
from tests.support.prediction_log import Database, headers

pytestmark = pytest.mark.backend

NEVER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def test_dead_letters_that_are_still_refused_hold_up_no_others(engine: sqlalchemy.Engine, database: Database) -> None:
    for table in ("requests", "truths"):
        database.run(f"ALTER TABLE {table} ADD CONSTRAINT refuses CHECK (request_id NOT IN ('a', 'b'))")
    log(engine, "a", "b")
    tell(engine, "a", 1)
    tell(engine, "b", 1)
    assert database.query("SELECT count(*) FROM dead_letters") == [(6,)]
    for table in ("requests", "truths"):
        database.run(f"ALTER TABLE {table} DROP CONSTRAINT refuses")
        database.run(f"ALTER TABLE {table} ADD CONSTRAINT refuses CHECK (request_id <> 'a')")
    assert replay_dead_letters(engine, STORE, dt.datetime(2000, 1, 1, tzinfo=dt.UTC), NEVER) == {
        "letters": 6,
        "stored": 3,
    }
    assert database.query("SELECT request_id FROM requests") == [("b",)]
    assert database.query("SELECT request_id FROM truths") == [("b",)]
    assert database.query("SELECT request_id, count(*) FROM dead_letters GROUP BY 1") == [("a", 3)]


def test_dead_letters_that_can_be_read_by_now_are_predictions(engine: sqlalchemy.Engine, database: Database) -> None:
    database.run("ALTER TABLE requests ADD CONSTRAINT refuses CHECK (request_id <> 'a')")
    database.run("ALTER TABLE truths ADD CONSTRAINT refuses CHECK (request_id <> 'a')")
    log(engine, "a", "b")
    tell(engine, "a", 1)
    unreadable = from_http(
        [(name.encode(), value.encode()) for name, value in headers("request", "c").items()], b"[]", time.time()
    )
    write_events(engine, unreadable, STORE)
    assert database.query("SELECT count(*) FROM dead_letters") == [(4,)]
    database.run("ALTER TABLE requests DROP CONSTRAINT refuses")
    database.run("ALTER TABLE truths DROP CONSTRAINT refuses")
    ever = (dt.datetime(2000, 1, 1, tzinfo=dt.UTC), NEVER)
    assert replay_dead_letters(engine, STORE, *ever) == {"letters": 4, "stored": 3}
    assert database.query("SELECT request_id, status FROM requests ORDER BY 1") == [("a", 200), ("b", 200)]
    assert database.query("SELECT request_id FROM dead_letters") == [("c",)]
    assert database.query("SELECT request_id, value FROM truths") == [("a", 1)]
