"""What holds predictions back while a benchmark measures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from benchmarks.held_log import holding


@dataclass
class Log:
    """What came, by content type and body."""

    url: str = ""
    status: int = 200
    messages: list[tuple[str, bytes]] = field(default_factory=list)


@pytest.fixture
def log() -> Iterator[Log]:
    state = Log()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if state.status == 200:
                state.messages.append((self.headers["content-type"], body))
            self.send_response(state.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


def test_what_is_held_back_is_handed_over_once_and_in_order(log: Log) -> None:
    with holding(log.url) as held:
        for number in range(3):
            answer = httpx.post(held.url, content=b"%d" % number, headers={"content-type": "text/x"})
            assert answer.status_code == 200
        assert log.messages == []
        held.hand_over()
        held.hand_over()
        assert log.messages == [("text/x", b"%d" % number) for number in range(3)]


def test_what_the_log_does_not_take_is_told_and_kept(log: Log) -> None:
    with holding(log.url) as held:
        httpx.post(held.url, content=b"a", headers={"content-type": "text/x"})
        log.status = 503
        with pytest.raises(httpx.HTTPStatusError, match="502"):
            held.hand_over()
        log.status = 200
        held.hand_over()
        assert log.messages == [("text/x", b"a")]
