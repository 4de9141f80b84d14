"""Truths come late, early, again and corrected; the latest of each kind counts."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import httpx
import pyarrow as pa
import pydantic
import pytest
import sqlalchemy
from platform_runtime.prediction_log import acceptance, truths
from platform_runtime.prediction_log.marking import Marking
from platform_runtime.prediction_log.storing import Store
from platform_runtime.prediction_log.truths import (
    MIME_CSV,
    MIME_PARQUET,
    TooManyError,
    Truth,
    TruthsError,
    from_file,
    pack,
    unpack,
)
from platform_runtime.prediction_log.writer import write_truths
from pyarrow import parquet

from tests.support.prediction_log import Collector, Database

RECEIVED = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)

Tell = Callable[..., Any]


@pytest.fixture
def tell(engine: sqlalchemy.Engine) -> Tell:
    def tell(*said: dict[str, Any]) -> Any:
        packed, _ = pack([Truth.model_validate({"request_id": "a", **truth}) for truth in said], RECEIVED)
        return write_truths(
            engine, [row for record in packed for row in unpack(record)], Store(Marking({}, b"key"), b"key")
        ).events

    return tell


def counts(database: Database) -> list[tuple[Any, ...]]:
    return database.query("SELECT kind, row, value FROM truths WHERE NOT superseded ORDER BY kind, row NULLS FIRST, id")


@pytest.mark.backend
def test_the_latest_of_each_kind_and_row_counts(tell: Tell, database: Database) -> None:
    tell({"value": 0, "row": 0, "at": "2026-03-01T10:00:00Z"}, {"value": 1, "row": 1, "at": "2026-03-01T10:00:00Z"})
    tell(
        {"value": 5, "row": 0, "at": "2026-03-01T12:00:00+01:00"}, {"value": 9, "row": 0, "at": "2026-02-01T00:00:00Z"}
    )
    tell({"value": {"profit": 7}, "kind": "business"}, {"value": "odd", "kind": "feedback"}, {"value": None})
    assert counts(database) == [
        ("business", None, {"profit": 7}),
        ("feedback", None, "odd"),
        ("label", None, None),
        ("label", 0, 5),
        ("label", 1, 1),
    ]
    assert database.query("SELECT count(*) FROM truths") == [(7,)]


@pytest.mark.backend
def test_a_truth_that_says_its_time_may_be_sent_again(tell: Tell, database: Database) -> None:
    first = {"value": 0, "at": "2026-03-01T10:00:00Z", "reviewer": "Ann"}
    second = {"value": 1, "at": "2026-03-01T11:00:00Z"}
    assert tell(first, second) == {("truth", "stored"): 2, ("truth", "duplicate"): 0}
    assert tell(first, second) == {("truth", "stored"): 0, ("truth", "duplicate"): 2}
    assert counts(database) == [("label", None, 1)]


@pytest.mark.backend
def test_a_change_of_mind_and_back_counts_as_such(tell: Tell, database: Database) -> None:
    for value in (0, 1, 0):
        tell({"value": value})
    assert counts(database) == [("label", None, 0)]
    assert database.query("SELECT count(*) FROM truths") == [(3,)]


@pytest.mark.backend
def test_one_that_the_database_refuses_does_not_hold_up_the_others(tell: Tell, database: Database) -> None:
    database.run("ALTER TABLE truths ADD CHECK (source <> 'bad')")
    found = tell({"value": 1, "source": "bad"}, {"value": 2}, {"value": 3, "row": 1})
    assert found == {("truth", "stored"): 2, ("truth", "duplicate"): 0, ("truth", "dead"): 1}
    assert database.query("SELECT kind, request_id FROM dead_letters") == [("truth", "a")]


CSV = """\
request_id,row,value,attribute.race,at,reviewer,confidence
a,0,1,white,2026-03-01T10:00:00Z,Ann,0.5
b,,approved,,,,
"""


def test_a_file_of_comma_separated_values() -> None:
    first, second = from_file(CSV.encode(), MIME_CSV)
    assert first == Truth(
        request_id="a",
        row=0,
        value=1,
        attributes={"race": "white"},
        at=dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC),
        reviewer="Ann",
        confidence=0.5,
    )
    assert second == Truth(request_id="b", value="approved")


def test_a_file_of_parquet() -> None:
    rows = [
        {"request_id": "a", "row": 0.0, "value": 1, "attribute.race": "white"},
        {"request_id": "b", "row": float("nan"), "value": 0, "attribute.race": None},
    ]
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file)
    assert list(from_file(file.getvalue(), MIME_PARQUET)) == [
        Truth(request_id="a", row=0, value=1, attributes={"race": "white"}),
        Truth(request_id="b", value=0),
    ]


@pytest.mark.parametrize(
    ("data", "content_type", "problem"),
    [
        (b"request_id,value\na,1\n,1\n", MIME_CSV, "row 2: request_id: Field required"),
        (b"request_id,value,colour\na,1,red\n", MIME_CSV, "row 1: colour: Extra inputs"),
        (b"request_id,value\na,1,2\n", MIME_CSV, "line 2: more values than columns"),
        (b"request_id,value\na,1\xff\n", MIME_CSV, "no CSV in UTF-8"),
        (b'request_id,value\na,"1\n', MIME_CSV, "no CSV in UTF-8"),
        (b"request_id,value,at\na,1,2026-03-01T10:00:00\n", MIME_CSV, "row 1: at: .*timezone"),
        (b"PAR1", MIME_PARQUET, "no Parquet"),
        (b"", "application/json", "wanted text/csv or application/vnd.apache.parquet"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(data: bytes, content_type: str, problem: str) -> None:
    with pytest.raises(TruthsError, match=problem):
        list(from_file(data, content_type))


def test_a_file_is_read_no_further_than_a_call_may_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truths, "MOST", 600)
    assert pack(from_file(b"request_id,value\n" + b"a,1\n" * 600, MIME_CSV), RECEIVED)[1] == 600
    # What comes after the last one that is allowed is not looked at: it may be gigabytes.
    with pytest.raises(TooManyError, match="allowed are 600 truths"):
        pack(from_file(b"request_id,value\n" + b"a,1\n" * 20_000 + b"a,\xff\n", MIME_CSV), RECEIVED)
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([{"request_id": "a", "value": 1}] * 601), file)
    with pytest.raises(TooManyError):
        next(from_file(file.getvalue(), MIME_PARQUET))


@pytest.mark.backend
def test_more_than_a_call_may_bring_is_refused_with_the_number(collector: Collector) -> None:
    collector.start()
    csv = b"request_id,value\n" + b"a,1\n" * truths.MOST
    json = [{"request_id": "a", "value": 1}] * (truths.MOST + 1)
    url, headers = f"{collector.url}/v1/truths/file", {"content-type": MIME_CSV}
    for refused in (
        httpx.post(url, content=csv + b"a,1\n", headers=headers, timeout=60),
        httpx.post(f"{collector.url}/v1/truths", json=json, timeout=60),
    ):
        assert refused.status_code == 413
        assert "allowed are 50000 truths" in refused.json()["detail"]
        assert "send them in parts" in refused.json()["detail"]
    assert httpx.post(url, content=csv, headers=headers, timeout=60).json() == {"accepted": truths.MOST}


@pytest.mark.parametrize("rows", [3, 1000])
def test_truths_may_not_take_all_that_may_wait(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(truths, "LARGEST", 1000)
    with pytest.raises(TooManyError, match="send them in parts"):
        pack(from_file(b"request_id,value\n" + b"a,%s\n" % (b"x" * 300) * rows, MIME_CSV), RECEIVED)


def test_what_a_call_may_bring_can_wait_for_the_disk() -> None:
    assert truths.LARGEST * 2 <= acceptance.WAITING_BYTES
    assert truths.MOST * 1000 > truths.LARGEST > truths.MOST * 400, "one of the two limits says nothing"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"request_id": ""}, "request_id"),
        ({"request_id": "x" * 201}, "request_id"),
        ({"request_id": "a\nb"}, "request_id"),
        ({"row": -1}, "row"),
        ({"kind": "guess"}, "kind"),
        ({"confidence": 2}, "confidence"),
        ({"value": "\0"}, "character NUL"),
        ({"at": "0001-01-01T00:00:00+02:00"}, "at\n.*from 1970 to 2200"),
        ({"at": "9999-12-31T23:59:59-02:00"}, "at\n.*from 1970 to 2200"),
        ({"attributes": {"a": ["\0"]}}, "character NUL"),
    ],
)
def test_what_could_not_be_stored_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=problem):
        Truth.model_validate({"request_id": "a", "value": 1, **change})
