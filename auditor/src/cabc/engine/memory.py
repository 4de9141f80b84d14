"""No garbage collection during a run: it looks at all measurements again and again and finds nothing."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]

_lock = threading.Lock()
_runs = 0


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the collector of cycles while any run is inside; what has no cycle is freed as always.

    At 100 000 measurements collecting was a third of the work, and the reason that cost grew faster than their number.
    """
    global _runs  # noqa: PLW0603 (the collector is one for the process, and so is the count)
    with _lock:
        _runs += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _runs -= 1
            if not _runs:
                gc.enable()
