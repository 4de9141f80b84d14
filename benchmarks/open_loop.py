"""Ask a server at times that were set before: however late it answers, the next request is not later for it.

A latency counts from the instant at which a request was to be sent, so that what waits behind a slow answer is slow too
(no coordinated omission).
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import selectors
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = ["Client", "Offered", "constant", "offer", "percentile", "poisson", "run", "saturation"]

T = TypeVar("T")

MOST_WAITING = 800
"""Requests without an answer after which nobody goes on asking; each has a connection."""

PATIENCE = 30.0
"""Seconds that the last answers may take."""

KEPT_UP = 0.99
"""A server that answers this share of the rate it is asked at keeps up; the rest is the noise of a short step."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run in a loop whose clock is finer than the milliseconds that epoll can wait.

    No garbage is collected meanwhile: that takes some milliseconds, which would be part of latencies.
    """
    gc.collect()
    gc.disable()
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
            return runner.run(main)
    finally:
        gc.enable()


def constant(rate: float, seconds: float) -> list[float]:
    """Return arrivals at even distances."""
    return [number / rate for number in range(max(1, round(rate * seconds)))]


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Return arrivals of people who know nothing of each other; the same seed gives the same ones."""
    source, found, at = random.Random(seed), [], 0.0  # noqa: S311 (guards nothing)
    while (at := at + source.expovariate(rate)) < seconds:
        found.append(at)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all are not above; infinite when there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.inf


@dataclass
class Offered:
    """What came of a load."""

    wanted: float
    """Requests per second it was to have."""

    latencies: list[float] = field(default_factory=list)
    """Seconds from when a request was to be sent to its answer, of those that were answered well."""

    delays: list[float] = field(default_factory=list)
    """Seconds by which the client itself was late to send: what is measured of the client and not of the server."""

    failed: int = 0
    seconds: float = 0.0
    """From the first request to the last answer."""

    @property
    def answered(self) -> float:
        """Good answers per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def keeps_up(self) -> bool:
        """Whether the server answered as fast as it was asked, and all of it."""
        return not self.failed and self.answered >= KEPT_UP * self.wanted


class Client:
    """HTTP/1.1 over as many kept connections as there are requests without an answer."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._head = f"POST {path} HTTP/1.1\r\nhost: model\r\ncontent-type: application/json\r\n"
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, body: bytes, sent: Callable[[], None] = lambda: None) -> int:
        """Return the status of the answer; `sent` is called when the request is on its way."""
        reader, writer = await self._connection()
        try:
            writer.write(f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body)
            sent()
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await reader.readexactly(int(head.split("content-length:", 1)[1].split("\r\n", 1)[0]))
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return int(head.split(" ", 2)[1])

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            # The one used last: servers close what was idle for some seconds.
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def close(self) -> None:
        """Let go of all connections."""
        for _, writer in self._idle:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in self._idle), return_exceptions=True)
        self._idle.clear()


async def offer(client: Client, bodies: Sequence[bytes], arrivals: Sequence[float], rate: float) -> Offered:
    """Send a request at each of these seconds from now; return when all are answered or nobody waits any more."""
    loop = asyncio.get_running_loop()
    found, waiting = Offered(rate), set[asyncio.Task[None]]()
    begun = loop.time() + 0.02

    async def one(due: float, body: bytes) -> None:
        try:
            status = await client.ask(body, lambda: found.delays.append(loop.time() - due))
        except (OSError, asyncio.IncompleteReadError, IndexError, ValueError):
            status = 0
        if 200 <= status < 300:  # noqa: PLR2004 (HTTP)
            found.latencies.append(loop.time() - due)
        else:
            found.failed += 1

    for number, at in enumerate(arrivals):
        await asyncio.sleep(max(0.0, begun + at - loop.time()))
        if len(waiting) >= MOST_WAITING:
            found.failed += len(arrivals) - number
            break
        task = asyncio.create_task(one(begun + at, bodies[number % len(bodies)]))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
    late = (await asyncio.wait(waiting, timeout=PATIENCE))[1] if waiting else set()
    found.failed += len(late)
    for task in late:
        task.cancel()
    found.seconds = loop.time() - begun
    return found


def saturation(
    ask: Callable[[float], Offered], guess: float, *, first: float = 0.6, step: float = 0.05, last: float = 1.4
) -> tuple[float, list[Offered]]:
    """Return the highest rate at which a server keeps up, and all steps: shares of a guess, ever more, until it fails.

    A rate counts as too much when the server fails it twice: whoever else uses the machine may spoil one step.
    """
    best, steps = 0.0, []
    for number in range(round((last - first) / step) + 1):
        rate = guess * (first + number * step)
        for _ in range(2):
            steps.append(ask(rate))
            print(f"  {rate:6.0f}/s asked, {steps[-1].answered:6.0f}/s answered", file=sys.stderr, flush=True)
            if steps[-1].keeps_up:
                break
        else:
            break
        best = rate
    return best, steps
