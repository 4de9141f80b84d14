"""Wait for something that takes its time, and say what it waits for when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["until"]

T = TypeVar("T")

PAUSE = 1.0


def until(found: Callable[[], T | None], seconds: float, *, pause: float | None = None) -> T | None:
    """Return what `found` returns as soon as it is something, None when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while (result := found()) is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(PAUSE if pause is None else pause)
    return result
