"""What holds predictions back while a benchmark measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from benchmarks.held_log import holding
from tests.support.http_backend import HttpBackend, Reply, Request


@dataclass
class Log:
    """What was taken, by content type and body."""

    url: str = ""
    status: int = 200
    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        if self.status == 200:
            self.messages.append((request.headers["content-type"], request.body))
        return Reply(status=self.status)


@pytest.fixture
def log() -> Iterator[Log]:
    state = Log()
    with HttpBackend(state) as server:
        state.url = server.url
        yield state


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
