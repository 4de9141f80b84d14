"""Canonical JSON (RFC 8785) and digests over it: a value that comes back from `jsonb` has the digest it had before."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

__all__ = ["canonical", "digest", "holds_nul", "keyed"]

SAFE = 2**53
"""Whole numbers below this have one spelling as integer and as double."""

SMALL = 1e-4
"""Where encoders begin to differ in how they spell a fraction."""


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of plain data. Numbers are doubles, as in RFC 8785; NaN and infinities are null."""
    return orjson.dumps(_normal(value))


def digest(value: Any) -> str:
    """Return `sha256:<hex>` over the canonical JSON of a value."""
    return f"sha256:{hashlib.sha256(canonical(value)).hexdigest()}"


def keyed(key: bytes, *parts: bytes) -> str:
    """Return a hash that only the owner of the key can compute, over parts whose borders count."""
    found = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return f"hmac-sha256:{found.hexdigest()}"


def holds_nul(value: Any, spelled: bytes) -> bool:
    """Whether a text in a value, spelled so in JSON, holds the one character that PostgreSQL does not store."""
    return b"\\u0000" in spelled and "\0" in "".join(_texts(value))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (key, *_texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


def _normal(value: Any) -> Any:
    if isinstance(value, Mapping):
        # UTF-16 code units, as the RFC sorts; only names outside ASCII can tell the difference.
        ascii_only = all(key.isascii() for key in value)
        names = sorted(value) if ascii_only else sorted(value, key=lambda name: name.encode("utf-16-be"))
        return {name: _normal(value[name]) for name in names}
    if isinstance(value, list | tuple):
        return [_normal(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    number = float(value)
    if not math.isfinite(number):
        return None
    if number.is_integer() and abs(number) < SAFE:
        return int(number)
    return number if SMALL <= abs(number) < SAFE else orjson.Fragment(_spelled(number))


def _spelled(number: float) -> bytes:
    """Spell a double as ECMAScript does: the shortest digits that give it back."""
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text, power = "".join(map(str, digits)), int(exponent) + len(digits)
    if 0 < power <= 21:  # noqa: PLR2004 (ECMA-262, Number::toString)
        text = text.ljust(power, "0") if len(text) <= power else f"{text[:power]}.{text[power:]}"
    elif -6 < power <= 0:  # noqa: PLR2004 (ECMA-262, Number::toString)
        text = f"0.{'0' * -power}{text}"
    else:
        mantissa = text if len(text) == 1 else f"{text[0]}.{text[1:]}"
        text = f"{mantissa}e{'+' if power > 0 else '-'}{abs(power - 1)}"
    return f"{'-' if sign else ''}{text}".encode()
