"""A model server tells the log of every answer, and no answer waits for the log."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import prometheus_client
import pytest
from platform_runtime import event_sender
from platform_runtime.event_sender import Sender, Sending

from tests.support.logged_server import ANNOTATIONS, INFER, PREDICT, served, until
from tests.support.prediction_log import ask


@dataclass
class Log:
    """Takes batches, unless it is told to hold or to refuse them."""

    url: str = ""
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    """Only those that were answered with 200."""

    refusals: list[int] = field(default_factory=list)
    """How many events each message had that was not taken."""

    status: Callable[[list[dict[str, Any]]], int] = lambda _: 200
    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch]

    def of(self, request_id: str, number: int = 2) -> list[dict[str, Any]]:
        """Return the events with an id, when there are so many."""
        until(lambda: len([event for event in self.events if event["id"] == request_id]) >= number)
        return [event for event in self.events if event["id"] == request_id]


class Listener(ThreadingHTTPServer):
    """A server that may be left in the middle of an answer."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """A test ended before its answer."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches one event need not wait until it has company."""
    monkeypatch.setattr(event_sender, "PAUSE", 0.05)


@pytest.fixture
def log() -> Iterator[Log]:
    state = Log()
    state.open.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            batch = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.headers["content-type"] == "application/cloudevents-batch+json"
            state.entered.set()
            state.open.wait(60)
            status = state.status(batch)
            if status == 200:
                state.batches.append(batch)
            else:
                state.refusals.append(len(batch))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    running = Listener(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{running.server_port}"
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    state.open.set()
    running.shutdown()
    running.server_close()


def counted() -> dict[str, float]:
    """Return how many events had each outcome; the counters are those of the whole process."""
    outcomes = ("sent", "dropped", "refused", "too large")
    name = "model_log_events_total"
    return {each: prometheus_client.REGISTRY.get_sample_value(name, {"outcome": each}) or 0 for each in outcomes}


def since(before: dict[str, float]) -> dict[str, float]:
    return {outcome: number - before[outcome] for outcome, number in counted().items() if number != before[outcome]}


@pytest.fixture
def client(log: Log) -> Iterator[httpx.Client]:
    with served(log.url) as client:
        yield client


def body(event: dict[str, Any]) -> bytes:
    return base64.b64decode(event["data_base64"])


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_an_answer_is_told_with_its_question(client: httpx.Client, log: Log, path: str) -> None:
    answered = client.post(path, json=ask(), headers={"Ce-Id": "mine"})
    assert answered.headers["x-request-id"] == "mine"
    asked, told = log.of("mine")
    assert (asked["type"], told["type"]) == tuple(
        f"org.kubeflow.serving.inference.{kind}" for kind in ("request", "response")
    )
    assert (json.loads(body(asked)), body(told)) == (ask(), answered.content)
    assert ("status" in asked, told["status"]) == (False, "200")
    assert asked["time"] < told["time"]
    for event in (asked, told):
        assert (event["specversion"], event["inferenceservicename"], event["namespace"]) == ("1.0", "loan", "models")
        assert json.loads(event["annotations"]) == ANNOTATIONS


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"Ce-Id": "a-1", "X-Request-Id": "b-1"}, "a-1"),
        ({"X-Request-Id": "b-1"}, "b-1"),
        ({"Ce-Id": "", "X-Request-Id": "b-1"}, "b-1"),
        ({"Ce-Id": "two words"}, None),
        ({"Ce-Id": "x" * 200}, "x" * 200),
        ({"Ce-Id": 'a"b\\c/{d}'}, 'a"b\\c/{d}'),
        ({"Ce-Id": "x" * 201}, None),
        ({"Ce-Id": b"\xc3\xa4"}, None),
        ({}, None),
    ],
)
def test_the_id_is_the_clients_if_it_can_be_used(
    client: httpx.Client, log: Log, given: dict[str, Any], taken: str | None
) -> None:
    found = client.post(PREDICT, json=ask(), headers=given).headers.get_list("x-request-id")
    assert len(found) == 1
    if taken is None:
        assert len(found[0]) == 36
        assert found[0] != client.post(PREDICT, json=ask(), headers=given).headers["x-request-id"]
    else:
        assert found == [taken]
    assert len(log.of(found[0])) == 2


def test_what_the_client_did_wrong_is_told_without_its_body(client: httpx.Client, log: Log) -> None:
    answered = client.post(PREDICT, json={"wish": "refuse"}, headers={"Ce-Id": "bad"})
    assert (answered.status_code, answered.headers["x-request-id"]) == (400, "bad")
    # Nothing else may come of it: what is answered later is told later.
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "good"})
    log.of("good")
    (told,) = log.of("bad", 1)
    assert (told["type"].rpartition(".")[2], told["status"]) == ("response", "400")


@pytest.mark.parametrize(("wish", "status"), [("unavailable", 503), ("fail", 500)])
def test_what_the_server_did_wrong_is_told_with_the_question(
    client: httpx.Client, log: Log, wish: str, status: int
) -> None:
    assert client.post(PREDICT, json={"wish": wish}, headers={"Ce-Id": "a"}).status_code == status
    asked, told = log.of("a")
    assert json.loads(body(asked)) == {"wish": wish}
    assert told["status"] == str(status)


def test_a_question_that_was_not_read_is_not_told(client: httpx.Client, log: Log) -> None:
    client.post("/v1/models/unread:predict", content=b"x" * 1_000_000, headers={"Ce-Id": "a"})
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "b"})
    log.of("b")
    (told,) = log.of("a", 1)
    assert told["status"] == "503"


def test_bodies_in_parts_are_told_whole(client: httpx.Client, log: Log) -> None:
    parts = iter([b'{"wish": ', b'"parts"', b"}"])
    answered = client.post(PREDICT, content=parts, headers={"Ce-Id": "a"})
    asked, told = log.of("a")
    assert (body(asked), body(told)) == (b'{"wish": "parts"}', b'{"predictions": [1]}')
    assert answered.json() == {"predictions": [1]}


def test_nothing_else_is_told_or_changed(client: httpx.Client, log: Log) -> None:
    answers = [client.get("/v1/models/loan"), client.post("/v1/models/loan:explain", json={}), client.get(PREDICT)]
    assert [found.status_code for found in answers] == [200, 200, 200]
    assert not any("x-request-id" in found.headers for found in answers)
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "a"})
    log.of("a")
    assert {event["id"] for event in log.events} == {"a"}


def test_a_client_that_went_away_before_it_asked_all_is_nobody(client: httpx.Client, log: Log) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nhost: a\r\nce-id: gone\r\ncontent-length: 100\r\n\r\n{{"
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address) as connection:
        connection.sendall(head.encode())
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "a"})
    log.of("a")
    assert {event["id"] for event in log.events} == {"a"}


def test_a_client_that_did_not_wait_for_its_answer_was_decided_about(client: httpx.Client, log: Log) -> None:
    content = json.dumps(ask())
    head = f"POST {PREDICT} HTTP/1.1\r\nhost: a\r\nce-id: gone\r\ncontent-length: {len(content)}\r\n\r\n{content}"
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address) as connection:
        connection.sendall(head.encode())
    assert [event["type"].rpartition(".")[2] for event in log.of("gone")] == ["request", "response"]


def test_no_answer_waits_for_a_log_that_hangs(client: httpx.Client, log: Log) -> None:
    log.open.clear()
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "first"})
    assert log.entered.wait(60)
    ids = [f"a-{number}" for number in range(300)]
    assert {client.post(PREDICT, json=ask(), headers={"Ce-Id": each}).status_code for each in ids} == {200}
    assert log.batches == []
    log.open.set()
    until(lambda: len(log.events) == 602)
    # What came meanwhile goes together.
    assert len(log.batches) == 2
    assert [event["id"] for event in log.events] == ["first", "first", *(each for each in ids for _ in range(2))]


def test_events_wait_for_company(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message costs the answers that come due meanwhile, so there are few; a server that stops sends at once."""
    monkeypatch.setattr(event_sender, "PAUSE", 600)
    with served(log.url) as client:
        for number in range(10):
            client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"})
        assert log.batches == []
    assert [len(batch) for batch in log.batches] == [20]


def test_a_full_batch_does_not_wait(client: httpx.Client, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_sender, "PAUSE", 600)
    monkeypatch.setattr(event_sender, "BATCH", 10)
    for number in range(24):
        client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"})
    until(lambda: len(log.events) >= 40)
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "last"})
    until(lambda: len(log.events) == 50)
    assert {len(batch) for batch in log.batches} == {10}


@pytest.mark.parametrize("busy", [503, 302])
def test_a_full_batch_waits_for_a_log_that_is_busy(log: Log, busy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes meanwhile is no reason to ask it again; that the server is to stop is one."""
    monkeypatch.setattr(event_sender, "RETRY", 600)
    monkeypatch.setattr(event_sender, "BATCH", 10)
    log.status = lambda _: 200 if log.refusals else busy
    with served(log.url) as client:
        for number in range(5):
            client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"})
        until(lambda: log.refusals)
        for number in range(5, 50):
            client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"})
        assert log.batches == []
    assert log.refusals == [10]
    assert len(log.events) == 100


def test_a_log_that_is_away_misses_nothing() -> None:
    """Nobody listens on its port at first; then it says that it is busy, then it takes all."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        with served(f"http://127.0.0.1:{port}") as client:
            for number in range(20):
                assert client.post(PREDICT, json=ask(), headers={"Ce-Id": str(number)}).status_code == 200
            place.close()
            received: list[str] = []
            busy = [503, 507, 500]

            class Handler(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    batch = json.loads(self.rfile.read(int(self.headers["content-length"])))
                    status = busy.pop() if busy else 200
                    if status == 200:
                        received.extend(event["id"] for event in batch)
                    self.send_response(status)
                    self.end_headers()

                def log_message(self, *_: Any) -> None:
                    """Say nothing."""

            running = Listener(("127.0.0.1", port), Handler)
            threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        # It was told to stop, and has told the log before that.
        running.shutdown()
        running.server_close()
    assert busy == []
    assert sorted(received) == sorted(str(number) for number in range(20) for _ in range(2))


def test_what_is_refused_is_counted_and_not_tried_for_ever(client: httpx.Client, log: Log) -> None:
    """One event that the log cannot take costs no other."""
    before = counted()
    log.status = lambda batch: 400 if any(event["id"] == "a-7" for event in batch) else 200
    log.open.clear()
    for number in range(20):
        client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"})
    log.open.set()
    until(lambda: sum(since(before).values()) == 40)
    assert since(before) == {"sent": 38, "refused": 2}
    assert "a-7" not in {event["id"] for event in log.events}
    tried = len(log.refusals)
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "later"})
    log.of("later")
    assert len(log.refusals) == tried


def test_messages_that_are_too_large_for_the_log_are_halved(client: httpx.Client, log: Log) -> None:
    log.status = lambda batch: 413 if len(batch) > 3 else 200
    log.open.clear()
    for number in range(20):
        client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"})
    log.open.set()
    until(lambda: len(log.events) == 40)
    assert log.refusals


def test_between_two_messages_others_have_their_turn(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one message is refused again and again, and where a server that stops sends all it has."""
    monkeypatch.setattr(event_sender, "BREATH", 0.2)
    came: list[float] = []

    def status(batch: list[dict[str, Any]]) -> int:
        came.append(time.monotonic())
        return 413 if len(batch) > 3 else 200

    log.status = status
    with served(log.url) as client:
        for number in range(5):
            client.post(PREDICT, json=ask(), headers={"Ce-Id": f"a-{number}"})
    assert len(log.events) == 10
    assert log.refusals
    # A message is on its way for a while, which the first of two may take longer than the second.
    assert min(after - before for before, after in itertools.pairwise(came)) > 0.1


@pytest.mark.parametrize(
    ("content", "path", "lost"),
    [
        (b'{"wish": "long"}', PREDICT, 2),
        (b'{"wish": "unavailable", "x": "%s"}', PREDICT, 2),
        # The answer to a request that was refused says all that there is to say.
        (b'{"wish": "refuse", "x": "%s"}', PREDICT, 0),
    ],
)
def test_a_body_that_is_too_large_is_served_and_counted(
    client: httpx.Client, log: Log, content: bytes, path: str, lost: int
) -> None:
    before = counted()
    content = content.replace(b"%s", b"x" * event_sender.LARGEST)
    assert client.post(path, content=content, headers={"Ce-Id": "a"}).status_code in {200, 400, 503}
    client.post(path, json=ask(), headers={"Ce-Id": "b"})
    log.of("b")
    assert since(before).get("too large", 0) == lost
    assert len([event for event in log.events if event["id"] == "a"]) == (0 if lost else 1)


def test_memory_is_bounded_and_what_is_dropped_is_counted(
    client: httpx.Client, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_sender, "MOST_WAITING", 10_000)
    before = counted()
    log.open.clear()
    for number in range(50):
        assert client.post(PREDICT, json=ask(), headers={"Ce-Id": str(number)}).status_code == 200
    waiting = prometheus_client.REGISTRY.get_sample_value("model_log_waiting_bytes")
    assert waiting
    assert 0 < waiting <= 10_000
    log.open.set()
    # An event is put when its answer is sent, so the last ones may still be on their way.
    until(lambda: sum(since(before).values()) == 100)
    assert since(before) == {"sent": len(log.events), "dropped": 100 - len(log.events)}
    until(lambda: prometheus_client.REGISTRY.get_sample_value("model_log_waiting_bytes") == 0)
    # There is room again.
    client.post(PREDICT, json=ask(), headers={"Ce-Id": "later"})
    assert len(log.of("later")) == 2


def test_a_server_stops_when_the_log_has_been_told(log: Log) -> None:
    with served(log.url) as client:
        for number in range(500):
            client.post(PREDICT, json=ask(), headers={"Ce-Id": str(number)})
    assert len(log.events) == 1000


def test_a_server_that_stops_does_not_wait_for_ever(log: Log) -> None:
    async def flushed() -> None:
        sender = Sender(Sending(log.url, "loan", "models", {}), timeout=60)
        await sender.flush(60)  # nothing waits
        sender.put("request", "a", dt.datetime.now(dt.UTC), b"{}")
        await sender.close(0.01)

    log.open.clear()
    asyncio.run(flushed())
    assert log.batches == []


@pytest.mark.parametrize("url", ["log:8080", "http://127.0.0.1:99999", "http://"])
def test_a_url_that_is_none_keeps_nobody_from_answering(url: str) -> None:
    async def told() -> int:
        sender = Sender(Sending(url, "loan", "models", {}))
        for _ in range(2):
            sender.put("request", "a", dt.datetime.now(dt.UTC), b"{}")
            await sender.flush(0.2)
        await sender.close(0)
        return len(sender._waiting)

    assert asyncio.run(told()) == 2
