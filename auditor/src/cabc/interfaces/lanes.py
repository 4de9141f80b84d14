"""How many retrievals go through a connection at once, whichever runs they are of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cabc.interfaces.base import RetrieveError

__all__ = ["lane"]

_LANES: dict[tuple[str, int], threading.BoundedSemaphore] = {}


@contextmanager
def lane(address: str, width: int, patience: float) -> Iterator[None]:
    """Be one of at most `width` at an address; RetrieveError when none has left after `patience` seconds.

    Runs of different subjects go on side by side, and a server counts the connections of all of them.
    """
    width = max(1, width)
    found = _LANES.setdefault((address, width), threading.BoundedSemaphore(width))
    if not found.acquire(timeout=patience):
        msg = f"{width} retrievals through this connection are under way, and none ended within {patience:g} s"
        raise RetrieveError(msg)
    try:
        yield
    finally:
        found.release()
