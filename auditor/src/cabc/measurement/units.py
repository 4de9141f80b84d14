"""Units of values and targets. pint is imported by the first measurement that has a unit."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING

from cabc.measurement.base import CompareError

if TYPE_CHECKING:
    import pint

__all__ = ["convert", "unit_fault"]

_UNIT = r"[A-Za-z°µμΩ_]+(?:\*\*-?[1-9])?"
_EXPRESSION = re.compile(rf"%|{_UNIT}(?:[*/]{_UNIT})*", re.ASCII)
"""No numbers, no parentheses: what pint would compute with comes from another party."""

_COUNTED = ("row", "request", "decision", "person", "sample", "item", "token")
"""Things that are counted. Each is a dimension of its own, so that rows are never taken for days or for percent."""


@cache
def _registry() -> pint.UnitRegistry[float]:
    import pint

    registry: pint.UnitRegistry[float] = pint.UnitRegistry(on_redefinition="ignore")
    for name in _COUNTED:
        registry.define(f"{name} = [{name}]")
    return registry


@cache
def _unit(text: str) -> pint.Unit:
    import pint

    if len(text) > 60 or not _EXPRESSION.fullmatch(text):  # noqa: PLR2004 (longer than any unit)
        msg = f"{text!r:.80} is no unit; write for example second, millisecond, percent, row, day or request/second"
        raise CompareError(msg)
    try:
        return _registry().Unit("percent" if text == "%" else text)
    except (pint.PintError, AttributeError, ValueError, TypeError) as error:
        msg = f"{text!r} is no known unit"
        raise CompareError(msg) from error


def unit_fault(unit: str, other: str | None = None) -> str | None:
    """Return what is wrong with a unit, or with converting `other` into it; None when nothing is."""
    try:
        wanted = _unit(unit)
        if other is not None and not _unit(other).is_compatible_with(wanted):
            return f"{other!r} cannot be converted into {unit!r}"
    except CompareError as error:
        return str(error)
    return None


def convert(value: float, unit: str, into: str) -> float:
    """Return the value in another unit, to 15 significant digits, so that 1100 ms are 1.1 s and not a bit more."""
    import pint

    if unit == into:
        return value
    try:
        result = float(_registry().Quantity(float(value), _unit(unit)).to(_unit(into)).magnitude)
    except (pint.PintError, OverflowError, ValueError, ZeroDivisionError) as error:
        msg = f"{value!r} {unit} cannot be converted into {into}"
        raise CompareError(msg) from error
    if not math.isfinite(result):
        msg = f"{value!r} {unit} is not finite in {into}"
        raise CompareError(msg)
    return float(f"{result:.15g}")
