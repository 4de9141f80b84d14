"""How often a caller may try: a token bucket for each address, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["RateLimit"]


class RateLimit:
    """So many at once, and one more every so many seconds."""

    def __init__(
        self, burst: int, every: float, *, clock: Callable[[], float] = time.monotonic, callers: int = 10_000
    ) -> None:
        self._burst = burst
        self._every = every
        self._clock = clock
        self._callers = callers
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, caller: str) -> int:
        """Count one try; return 0 when it may go on, else the seconds after which another makes sense."""
        now = self._clock()
        left, then = self._buckets.pop(caller, (float(self._burst), now))
        left = min(float(self._burst), left + (now - then) / self._every)
        allowed = left >= 1
        self._buckets[caller] = (left - 1 if allowed else left, now)
        while len(self._buckets) > self._callers:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - left) * self._every))
