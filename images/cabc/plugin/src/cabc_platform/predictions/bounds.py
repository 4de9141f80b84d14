"""What a trace may cost the process that also keeps the record: one at a time, so many seconds, so many bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cabc.service.problems import ProblemError

from cabc_platform.trace.errors import TraceError

__all__ = ["ANSWER_BYTES", "EXCERPT_BYTES", "RECORD_BYTES", "SECONDS", "Deadline", "OneAtATime"]

T = TypeVar("T")

SECONDS = 30.0
"""For collecting one trace. What has not answered until then is shown as missing."""

ANSWER_BYTES = 8_000_000
"""Size of one answer in JSON; a request of more rows than that is traced with `mlops trace`."""

RECORD_BYTES = 64 << 20
"""What entries and evidence of one subject may unfold to in an export, of which a process of 512 MiB holds copies."""

EXCERPT_BYTES = 256 << 20
"""The same for what a page is judged by, which is read in a stream; some 400,000 entries."""

WAITING = 4
"""How many may wait for their turn; one more is sent away at once."""


class Deadline:
    """When a trace has to be done."""

    def __init__(self, seconds: float = SECONDS, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = seconds
        self._end = clock() + seconds

    def left(self) -> float:
        """Return the seconds that are left. Raises TraceError when there are none."""
        left = self._end - self._clock()
        if left <= 0:
            msg = f"a trace has {self._seconds:g} s, and they are over"
            raise TraceError(msg)
        return left


class OneAtATime:
    """Work in one thread: the event loop goes on, and two traces never need memory at once."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="trace")
        self._most = waiting + 1
        self._here = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Return what the work gives, when its turn has come."""
        if self._here >= self._most:
            raise ProblemError(503, "Other traces are being collected. Try again.", headers={"Retry-After": "10"})
        self._here += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._here -= 1
