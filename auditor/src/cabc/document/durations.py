"""ISO 8601 durations with a fixed length: weeks, days, hours, minutes, seconds."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import isodate
from pydantic import AfterValidator, Field

__all__ = ["Duration", "parse_duration"]


def parse_duration(text: str) -> dt.timedelta:
    """Return the length of an ISO 8601 duration; ValueError for months and years, whose length varies, and for none."""
    try:
        length = isodate.parse_duration(text)
    except (isodate.ISO8601Error, OverflowError) as error:
        msg = f"{text!r} is no ISO 8601 duration; write for example PT15M, PT6H, P1D or P2W"
        raise ValueError(msg) from error
    if not isinstance(length, dt.timedelta) or length <= dt.timedelta(0):
        msg = f"{text!r} must be longer than nothing and have no months or years; write weeks, days, hours, minutes"
        raise ValueError(msg)
    return length


def _checked(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, Field(max_length=40, json_schema_extra={"format": "duration"}), AfterValidator(_checked)]
"""Text of a duration, kept as written; `parse_duration` gives its length."""
