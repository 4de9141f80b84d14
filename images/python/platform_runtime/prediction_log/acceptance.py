"""Group commit: whatever arrives while one write to the disk is under way shares the next one."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from platform_runtime.prediction_log.spool import Spool, SpoolFullError

__all__ = ["Acceptance", "RefusedError"]

WAITING_BYTES = 64 << 20
"""How much may be in memory and not on the disk."""

LONGEST = 5.0
"""Seconds after which a write that hangs is an answer too: KServe's logger waits without a bound, and in memory."""

RETRY_SECONDS = 10

log = logging.getLogger("prediction_log")


class RefusedError(Exception):
    """Something was not accepted."""

    def __init__(self, status: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason


@dataclass
class _Waiting:
    payloads: Sequence[bytes]
    size: int
    written: asyncio.Future[None]


class Acceptance:
    """Returns from `accept` when what it was given is on the disk."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: list[_Waiting] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._task = asyncio.create_task(self._run())

    @property
    def alive(self) -> bool:
        """Whether anything can be accepted."""
        return not self._task.done()

    async def accept(self, payloads: Sequence[bytes]) -> None:
        """Make all payloads durable, or none; raises RefusedError."""
        size = sum(map(len, payloads))
        if self._size + size > WAITING_BYTES:
            raise RefusedError(503, "busy", f"{self._size} bytes wait for the disk")
        waiting = _Waiting(payloads, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._size += size
        self._wake.set()
        try:
            await asyncio.wait_for(waiting.written, LONGEST)
        except TimeoutError:
            raise RefusedError(503, "slow", f"the disk did not take it within {LONGEST:g} s") from None

    async def close(self) -> None:
        """Write what waits, then accept nothing more."""
        while self._waiting:
            await asyncio.wait([waiting.written for waiting in self._waiting])
        self._task.cancel()
        self._thread.shutdown(wait=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group = self._waiting.copy()
                refused = await loop.run_in_executor(self._thread, self._append, group)
                del self._waiting[: len(group)]
                for waiting in group:
                    self._size -= waiting.size
                    if waiting.written.done():
                        continue
                    if refused:
                        waiting.written.set_exception(refused)
                    else:
                        waiting.written.set_result(None)

    def _append(self, group: Sequence[_Waiting]) -> RefusedError | None:
        try:
            self._spool.append([payload for waiting in group for payload in waiting.payloads])
        except SpoolFullError as error:
            return RefusedError(503, "spool full", str(error))
        except OSError as error:
            log.error("the spool cannot be written to: %s", error)  # noqa: TRY400 (its text says all)
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            return RefusedError(507 if full else 503, "disk full" if full else "disk", f"the spool's disk: {error}")
        return None
