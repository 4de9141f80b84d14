"""Canonical JSON (RFC 8785): one text for one value, so that a digest means the value and not its spelling."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from decimal import Decimal

from pydantic import BaseModel

__all__ = ["canonical", "canonical_model", "canonical_plain", "digest", "instant_text"]

_SAFE = 2**53
"""Whole numbers below this have one spelling as integer and as double."""


class _NeedsCareError(Exception):
    """The C encoder of the standard library would spell this value differently from RFC 8785."""


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes with the algorithm in front."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def instant_text(at: dt.datetime) -> str:
    """Return an instant as every model spells it in JSON: UTC, `Z`, a fraction only when there is one."""
    return at.astimezone(dt.UTC).isoformat().removesuffix("+00:00") + "Z"


def canonical_model(model: BaseModel) -> str:
    """Return a model's canonical JSON."""
    text = model.model_dump_json()
    if text.isascii():
        try:
            return canonical_plain(_DECODER.decode(text))
        except _NeedsCareError:
            pass
    return canonical(json.loads(text))


def canonical(value: object) -> str:
    """Return the canonical JSON of plain data; ValueError for NaN and infinities.

    Integers beyond 2**53, for which RFC 8785 has no spelling, keep all their digits.
    """
    if isinstance(value, dict):
        # UTF-16 code units, as the RFC sorts; Python would sort by code point.
        members = sorted(value.items(), key=lambda item: str(item[0]).encode("utf-16-be"))
        return "{" + ",".join(f"{canonical_plain(str(key))}:{canonical(item)}" for key, item in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    return _number(value) if isinstance(value, float) else canonical_plain(value)


def canonical_plain(value: object) -> str:
    """Return the canonical JSON of data with ASCII names and no fractions, by the quick way."""
    return _ENCODER.encode(value)


def _plain(text: str) -> float | int:
    """Return a number that the C encoder spells as the RFC does."""
    number = float(text)
    size = abs(number)
    if size >= _SAFE or (0 < size < 1e-4):  # noqa: PLR2004 (where Python's repr changes to an exponent)
        raise _NeedsCareError
    return int(number) if number.is_integer() else number


# Made once: `json.dumps` and `json.loads` make one for each call that is not the usual one.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)
_DECODER = json.JSONDecoder(parse_float=_plain)


def _number(number: float) -> str:
    """Spell a double as ECMAScript does: the shortest digits that give it back."""
    if not math.isfinite(number):
        raise ValueError("JSON has no NaN and no infinity")
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    text, power = "".join(map(str, digits)), int(exponent) + len(digits)
    if 0 < power <= 21:  # noqa: PLR2004 (ECMA-262, Number::toString)
        text = text.ljust(power, "0") if len(text) <= power else f"{text[:power]}.{text[power:]}"
    elif -6 < power <= 0:  # noqa: PLR2004 (ECMA-262, Number::toString)
        text = f"0.{'0' * -power}{text}"
    else:
        mantissa = text if len(text) == 1 else f"{text[0]}.{text[1:]}"
        text = f"{mantissa}e{'+' if power > 0 else '-'}{abs(power - 1)}"
    return f"-{text}" if sign else text
