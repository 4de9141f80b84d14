"""Two halves make one prediction, in whatever order; nothing is stored twice and nothing is lost in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import sqlalchemy
from cabc_platform.trace.canonical import data_digest
from platform_runtime.prediction_log.events import Event, from_http
from platform_runtime.prediction_log.marking import Marking
from platform_runtime.prediction_log.storing import Outcome, Store, load, save
from platform_runtime.prediction_log.writer import write_events

from tests.support.prediction_log import Database, answer, ask, headers

pytestmark = pytest.mark.backend

KEY = b"0123456789abcdef"
NOW = 1772366400.0

Write = Callable[..., Outcome]


def event(kind: str, request_id: str, body: Any, **attributes: str) -> Event:
    given = headers(kind, request_id, **attributes)
    content = json.dumps(body).encode()
    (found,) = from_http([(name.encode(), value.encode()) for name, value in given.items()], content, NOW)
    return found


@pytest.fixture
def write(engine: sqlalchemy.Engine) -> Write:
    stores: dict[str, Store] = {}

    def write(*events: Event, rules: Any = None) -> Outcome:
        store = stores.setdefault(json.dumps(rules), Store(Marking(rules or {}, KEY), KEY))
        return write_events(engine, events, store)

    return write


def the_request(database: Database) -> dict[str, Any]:
    """Return the one request, with its rows."""
    ((found,),) = database.query("SELECT to_jsonb(requests) FROM requests")
    rows = database.query("SELECT row, inputs, output, model, version, at FROM predictions ORDER BY row")
    names = ("row", "inputs", "output", "model", "version", "at")
    return {**found, "rows": [dict(zip(names, row, strict=True)) for row in rows]}


def test_a_prediction_is_all_that_both_halves_say(write: Write, database: Database) -> None:
    outcome = write(event("request", "a", ask(1, rows=2)), event("response", "a", answer(1, rows=2)))
    assert outcome.events == {("request", "stored"): 1, ("response", "stored"): 1}
    assert outcome.rows == 2
    found = the_request(database)
    expected = {
        "service": "loan",
        "namespace": "models",
        "model": "loan",
        "version": "3",
        "run_id": "r1",
        "digest": "sha256:d",
        "protocol": "v1",
        "latency_ms": 150.0,
        "status": 200,
    }
    assert expected.items() <= found.items()
    assert [row["inputs"] for row in found["rows"]] == ask(1, rows=2)["instances"]
    assert [row["output"] for row in found["rows"]] == answer(1, rows=2)["predictions"]
    assert {(row["model"], row["version"]) for row in found["rows"]} == {("loan", "3")}
    content = [{name: row[name] for name in ("row", "inputs", "output")} for row in found["rows"]]
    assert found["content_digest"] == data_digest(content)


def test_order_and_batches_do_not_matter(write: Write, database: Database) -> None:
    halves = [event("request", "a", ask(rows=2)), event("response", "a", answer(rows=2))]
    seen = []
    for together in (True, False):
        for order in permutations(halves):
            database.run("TRUNCATE requests CASCADE")
            if together:
                write(*order)
            else:
                for half in order:
                    write(half)
            found = the_request(database)
            del found["stored_at"]
            seen.append(found)
    assert all(found == seen[0] for found in seen)


def test_a_request_without_an_answer_is_known_by_its_annotations(write: Write, database: Database) -> None:
    annotations = {"oss-mlops-platform/model-name": "loans", "oss-mlops-platform/model-version": "4"}
    write(event("request", "a", ask(), annotations=json.dumps(annotations)))
    found = the_request(database)
    assert (found["model"], found["version"], found["status"], found["answered_at"]) == ("loans", "4", None, None)
    assert found["rows"][0]["output"] is None


REFUSED = {"error": "the model wants income"}
WHO = json.dumps({"oss-mlops-platform/model-name": "loans", "oss-mlops-platform/model-version": "4"})


def test_a_refused_request_is_a_status_and_no_rows(write: Write, database: Database) -> None:
    outcome = write(event("response", "a", REFUSED, status="400", annotations=WHO))
    assert (outcome.events, outcome.rows) == ({("response", "stored"): 1}, 0)
    found = the_request(database)
    assert (found["model"], found["version"], found["status"], found["latency_ms"]) == ("loans", "4", 400, None)
    assert found["rows"] == []
    assert found["content_digest"] == data_digest([])
    assert found["at"] == found["answered_at"]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_a_failed_request_is_a_status_and_what_was_asked(
    write: Write, database: Database, *, together: bool, order: int
) -> None:
    # The body of an error may be anything, or nothing.
    halves = [
        event("request", "a", ask(rows=2), annotations=WHO),
        event("response", "a", "?", status="500", annotations=WHO),
    ][::order]
    for some in [halves] if together else [[half] for half in halves]:
        write(*some)
    found = the_request(database)
    assert (found["model"], found["version"], found["status"], found["latency_ms"]) == ("loans", "4", 500, 150.0)
    assert [(row["inputs"], row["output"]) for row in found["rows"]] == [
        (row, None) for row in ask(rows=2)["instances"]
    ]
    content = [{name: row[name] for name in ("row", "inputs", "output")} for row in found["rows"]]
    assert found["content_digest"] == data_digest(content)


@pytest.mark.parametrize("status", ["200", "400", "500"])
def test_what_is_read_from_the_database_has_the_digest_that_was_stored(
    write: Write, engine: sqlalchemy.Engine, database: Database, status: str
) -> None:
    body = answer(rows=2) if status == "200" else REFUSED
    halves = [event("request", "a", ask(rows=2))] if status != "400" else []
    write(*halves, event("response", "a", body, status=status))
    with engine.begin() as connection:
        (record,) = load(connection, ["a"]).values()
        stored = record.content_digest
        record.finish(Marking({}, KEY))
        assert record.content_digest == stored
        save(connection, [record])
    assert the_request(database)["content_digest"] == stored


def test_a_model_that_nobody_names_is_called_as_its_service(write: Write, database: Database) -> None:
    write(event("request", "a", ask()), event("response", "a", {"predictions": [1]}))
    assert (the_request(database)["model"], the_request(database)["version"]) == ("loan", "")


def test_the_same_events_again_change_nothing(write: Write, database: Database) -> None:
    events = [event("request", "a", ask()), event("response", "a", answer())]
    write(*events)
    before = the_request(database)
    again = write(*events, *events)
    assert again.events == {("request", "duplicate"): 2, ("response", "duplicate"): 2}
    assert again.rows == 0
    assert the_request(database) == before


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("change", [{"time": "2026-03-01T11:00:00Z"}, {"inferenceservicename": "other"}])
def test_an_id_that_is_used_twice_is_a_dead_letter(
    write: Write, database: Database, change: dict[str, str], batches: int
) -> None:
    first, second = event("request", "a", ask(1)), event("request", "a", ask(2), **change)
    outcomes = [write(first, second)] if batches == 1 else [write(first), write(second)]
    assert sum(outcome.events["request", "dead"] for outcome in outcomes) == 1
    assert the_request(database)["rows"][0]["inputs"]["income"] == 2.5
    ((reason, letter),) = database.query("SELECT reason, letter FROM dead_letters")
    assert reason.startswith("the id is taken by another request (models/loan, ")
    assert Event.unpack(bytes(letter)) == second


def test_what_cannot_be_read_does_not_hold_up_what_can(write: Write, database: Database) -> None:
    events = [
        event("request", "a", ask()),
        event("request", "b", ["no"]),
        event("explanation", "c", {}),
        event("request", "d", {"instances": ["\0"]}),
        event("response", "a", answer()),
    ]
    outcome = write(*events)
    assert outcome.events == {
        ("request", "stored"): 1,
        ("response", "stored"): 1,
        ("request", "dead"): 2,
        ("other", "dead"): 1,
    }
    assert write(*events).events["request", "dead"] == 2
    assert database.query("SELECT request_id FROM dead_letters ORDER BY 1") == [("b",), ("c",), ("d",)]


def test_what_the_database_refuses_is_found_and_buried(write: Write, database: Database) -> None:
    database.run("ALTER TABLE requests ADD CHECK (request_id <> 'b')")
    outcome = write(*(event("request", name, ask()) for name in "abcd"))
    assert outcome.events == {("request", "stored"): 3, ("request", "dead"): 1}
    assert database.query("SELECT request_id FROM requests ORDER BY 1") == [("a",), ("c",), ("d",)]
    ((request_id, reason),) = database.query("SELECT request_id, reason FROM dead_letters")
    assert request_id == "b"
    assert reason.startswith("the database refuses it: ")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("batches", [1, 2])
def test_who_only_asks_about_a_model_is_no_prediction(
    write: Write, database: Database, order: tuple[int, int], batches: int
) -> None:
    question, told = event("request", "a", {}), event("response", "a", {"name": "loan", "ready": True})
    both = [replace(question, body=b""), told]
    events = [both[place] for place in order]
    outcomes = [write(*events)] if batches == 1 else [write(each) for each in events]
    assert outcomes[-1].events[events[-1].kind, "ignored"] == 1
    assert database.query("SELECT count(*) FROM requests") == [(0,)]
    assert database.query("SELECT count(*) FROM dead_letters") == [(0,)]


@pytest.mark.parametrize(
    "body", [{"instances": []}, {"instances": [{}]}, {"instances": [{"a": None}, {"a": [[1], {}]}]}]
)
def test_strange_rows_are_kept_as_they_are(write: Write, database: Database, body: dict[str, Any]) -> None:
    write(event("request", "a", body))
    write(event("response", "a", {"predictions": [None, 1]}))
    found = the_request(database)
    inputs = [row["inputs"] for row in found["rows"]]
    assert inputs[: len(body["instances"])] == body["instances"]
    assert [row["output"] for row in found["rows"]] == [None, 1]


RULES = {"loan": {"race": "hash", "income": "drop"}}


@pytest.mark.parametrize("order", [("request", "response"), ("response", "request")])
def test_sensitive_values_are_nowhere_in_the_database(write: Write, database: Database, order: tuple[str, str]) -> None:
    bodies = {"request": {"instances": [{"race": "secret-a", "income": 77123, "age": 5}]}, "response": answer()}
    for kind in order:
        write(event(kind, "a", bodies[kind]), rules=RULES)
    (row,) = the_request(database)["rows"]
    assert row["inputs"].keys() == {"race", "age"}
    dump = database.query(
        "SELECT requests::text || predictions::text FROM requests JOIN predictions USING (request_id)"
    )
    assert "secret-a" not in dump[0][0]
    assert "77123" not in dump[0][0]


def test_rules_of_a_model_hold_under_every_name_of_its_service(write: Write, database: Database) -> None:
    rules = {"loan": {"race": "hash"}}
    attributes = {"inferenceservicename": "canary"}
    write(event("request", "a", ask(), **attributes), event("response", "a", answer(), **attributes), rules=rules)
    assert the_request(database)["rows"][0]["inputs"]["race"].startswith("hmac-sha256:")
