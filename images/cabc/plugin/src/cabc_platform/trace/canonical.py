"""Digests over data, spelled as RFC 8785 says, so that everybody who has the data gets the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cabc.record.canonical import canonical, digest

__all__ = ["data_digest", "digest"]

_SAFE = 2**53
"""Whole numbers below this have one spelling as integer and as double."""


def data_digest(value: Any) -> str:
    """Return the digest of plain data. Numbers are doubles, as the RFC has them; NaN and infinities are null."""
    return digest(canonical(_doubles(value)).encode())


def _doubles(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _doubles(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_doubles(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < _SAFE else number
