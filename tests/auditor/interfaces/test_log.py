"""`log`: files and a service that speaks Loki's API."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from cabc.document.interfaces import LogInterface
from cabc.interfaces.base import ExtractError, RetrieveError, Value
from cabc.interfaces.connections import LogConnection
from cabc.interfaces.log import LogPlugin

from tests.support.http_backend import HttpBackend, Reply
from tests.support.retrieval import retrieve, spec, value

NOW = dt.datetime(2026, 5, 1, 12, 0, tzinfo=dt.UTC)
LINES = """\
2026-04-30T09:00:00Z ERROR old failure
2026-05-01T11:10:00Z INFO latency=0.10
2026-05-01 11:20:00,123 ERROR new failure
  Traceback without a time of its own: ERROR
{"timestamp": "2026-05-01T13:30:00+02:00", "level": "INFO", "message": "latency=0.30"}
[2026-05-01T11:40:00Z] INFO done
"""


def ask(**keys: Any) -> LogInterface:
    asked: LogInterface = spec(LogInterface, kind="log", connection="logs", **{"path": "app.log", **keys})
    return asked


def read(folder: Path, text: str = LINES, **keys: Any) -> Value:
    (folder / "app.log").write_text(text)
    return value(LogPlugin(now=lambda: NOW), ask(**keys), spec(LogConnection, kind="log", root=str(folder)))


def test_counting_lines(tmp_path: Path) -> None:
    assert read(tmp_path, regex="ERROR", reduce="count") == 3
    assert read(tmp_path, regex="ERROR", reduce="count", since="PT1H") == 2
    assert read(tmp_path, regex="nothing", reduce="count") == 0


def test_the_last_match_is_the_value(tmp_path: Path) -> None:
    assert read(tmp_path, regex=r"latency=([0-9.]+)", cast="numeric") == 0.3
    assert read(tmp_path, regex=r"latency=([0-9.]+)", cast="numeric", reduce="max") == 0.3
    assert read(tmp_path, regex=r"latency=([0-9.]+)", cast="numeric", reduce="mean") == 0.2
    assert read(tmp_path, regex=r"latency=([0-9.]+)") == "0.30"


def test_without_a_group_the_answer_is_whether_it_is_there(tmp_path: Path) -> None:
    assert read(tmp_path, regex="done") is True
    assert read(tmp_path, regex="nothing") is False


def test_nothing_logged_is_no_zero(tmp_path: Path) -> None:
    """No errors because nothing is logged any more must not look like no errors."""
    with pytest.raises(ExtractError, match="nothing was logged"):
        read(tmp_path, "", regex="ERROR", reduce="count")
    with pytest.raises(ExtractError, match="younger than PT1H"):
        read(tmp_path, "2026-04-01T00:00:00Z x\n", regex="ERROR", reduce="count", since="PT1H")


def test_since_needs_time_stamps(tmp_path: Path) -> None:
    with pytest.raises(RetrieveError, match="time stamp"):
        read(tmp_path, "no time here\n", regex="x", since="PT1H")
    assert read(tmp_path, "no time here\n", regex="time") is True


def test_a_match_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExtractError, match="nothing"):
        read(tmp_path, regex=r"nothing=(\d+)")


def test_only_matching_lines_are_evidence(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(LINES)
    connection = spec(LogConnection, kind="log", root=str(tmp_path))
    answer = retrieve(LogPlugin(now=lambda: NOW), ask(regex="latency"), connection)
    assert answer.body.decode().count("\n") == 2
    assert answer.details == {"scanned": "6", "matched": "2"}


def test_more_evidence_than_allowed_is_an_error_and_not_a_cut(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("ERROR x\n" * 1000)
    connection = spec(LogConnection, kind="log", root=str(tmp_path), max_bytes=1000)
    with pytest.raises(RetrieveError, match="1000 bytes"):
        retrieve(LogPlugin(), ask(regex="ERROR", reduce="count"), connection)


def test_lines_that_are_no_text_or_very_long(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"\xff\xfe ok\n" + b"x" * 500_000 + b" ok\n")
    connection = spec(LogConnection, kind="log", root=str(tmp_path))
    assert value(LogPlugin(), ask(regex="ok", reduce="count"), connection) == 2


# A service.


def loki(*lines: tuple[int, str]) -> Reply:
    values = [[str(stamp), line] for stamp, line in lines]
    data = {"resultType": "streams", "result": [{"stream": {"app": "x"}, "values": values}]}
    return Reply(json.dumps({"status": "success", "data": data}).encode())


def query(server: HttpBackend, text: str = '{app="scoring"}', *, limit: int = 5000, **keys: Any) -> Value:
    connection = spec(LogConnection, kind="log", url=server.url, network="loopback", max_lines=limit)
    asked = ask(path=None, query=text, **keys)
    return value(LogPlugin(now=lambda: NOW), asked, connection)


def test_lines_of_a_service_come_in_the_order_of_time() -> None:
    with HttpBackend({"/loki/api/v1/query_range": loki((2, "v=2"), (3, "v=3"), (1, "v=1"))}) as server:
        assert query(server, regex=r"v=(\d)", since="PT1H") == "3"
        asked = server.requests[0].query
        assert int(asked["end"]) - int(asked["start"]) == 3600 * 10**9
        assert asked["query"] == '{app="scoring"}'
        assert query(server, regex="v=[12]", reduce="count") == 2


def test_a_cut_of_a_service_is_an_error() -> None:
    with HttpBackend({"/loki/api/v1/query_range": loki(*[(n, "x") for n in range(4)])}) as server:
        with pytest.raises(RetrieveError, match="more than 3 lines"):
            query(server, regex="x", reduce="count", limit=3)
        assert server.requests[0].query["limit"] == "4"


def test_a_service_that_logged_nothing_is_an_error() -> None:
    with HttpBackend({"/loki/api/v1/query_range": loki()}) as server, pytest.raises(ExtractError, match="logged"):
        query(server, regex="x", reduce="count")


@pytest.mark.parametrize(
    "text", ["{}", '{app=~".+"}', '{app="x"} |= "y"', 'rate({app="x"}[1m])', "x", '{app="x"} or {app="y"}', '{app="x']
)
def test_only_a_bounded_selector_is_sent(text: str) -> None:
    with HttpBackend({}) as server:
        with pytest.raises(RetrieveError, match="refused"):
            query(server, text, regex="x")
        assert server.requests == []


def test_a_fact_stays_inside_its_quotes() -> None:
    with HttpBackend({"/loki/api/v1/query_range": loki((1, "x"))}) as server:
        query(server, '{model="${subject.registeredModel}", v=~"${subject.version}"}', regex="x")
        assert server.requests[0].query["query"] == '{model="credit-scoring", v=~"3"}'


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": {"resultType": "matrix", "result": []}}', b"no"])
def test_other_answers_of_a_service_are_errors(body: bytes) -> None:
    with HttpBackend({"/loki/api/v1/query_range": Reply(body)}) as server, pytest.raises(RetrieveError):
        query(server, regex="x")
