"""Which times can be stored and read again: Python's end with the year 9999, PostgreSQL's do not."""

from __future__ import annotations

import datetime as dt

__all__ = ["EARLIEST", "LATEST"]

EARLIEST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
"""A time beyond them is a mistake of who sends it, or fails in some time zone when it is read."""
