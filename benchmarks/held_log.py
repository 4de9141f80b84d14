"""Takes what a model server tells the prediction log, and tells the log later.

What the log does with a second's predictions slows its neighbour on a small machine: two virtual cores share caches,
and often one physical core. Held back until nobody measures, it does so no more than a log on another node.

    python benchmarks/held_log.py PORT URL_OF_THE_LOG
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

__all__ = ["HeldLog", "holding"]


class HeldLog:
    """The process, as its user sees it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def hand_over(self) -> None:
        """Tell the log what was held back; raises httpx.HTTPError unless it takes all of it."""
        httpx.put(self.url, timeout=300).raise_for_status()


@contextmanager
def holding(url: str) -> Iterator[HeldLog]:
    """Hold back what is for the log at this URL, until the block ends."""
    from tests.support.prediction_log import free_port

    held = HeldLog(free_port())
    process = subprocess.Popen([sys.executable, __file__, held.url.rpartition(":")[2], url])
    try:
        _await(held, process)
        yield held
    finally:
        process.terminate()
        process.wait()


def _await(held: HeldLog, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            held.hand_over()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    sys.exit("what holds predictions back does not answer")


def serve(port: int, url: str) -> None:
    """Hold back until told to hand over."""
    messages: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            messages.append((self.headers["content-type"], body))
            self._answer(HTTPStatus.OK)

        def do_PUT(self) -> None:
            with httpx.Client(timeout=60) as log:
                while messages:
                    kind, body = messages[0]
                    answer = log.post(url, content=body, headers={"content-type": kind})
                    if not answer.is_success:
                        self._answer(HTTPStatus.BAD_GATEWAY)
                        return
                    del messages[0]
            self._answer(HTTPStatus.OK)

        def _answer(self, status: HTTPStatus) -> None:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
