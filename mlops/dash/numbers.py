"""Values as people read them."""

from __future__ import annotations

import math

from components.grafana.dashboards.definition import Panel, Unit

__all__ = ["NONE", "plain", "size", "text", "value"]

NONE = "\u2013"
"""Stands for a value that is not there."""

_THOUSAND = 1000

_TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_SIZES = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def value(panel: Panel, number: float) -> str:
    """Return a panel's value: its word where it has one."""
    return panel.words[number][0] if number in panel.words else text(number, panel.unit)


def text(number: float, unit: Unit) -> str:
    """Return a number with its unit, to three or four digits."""
    match unit:
        case Unit.RATIO:
            return f"{plain(number * 100)} %"
        case Unit.SECONDS:
            return _scaled(number, _TIMES)
        case Unit.BYTES:
            return _scaled(number, _SIZES)
        case Unit.PER_SECOND:
            return f"{plain(number)}/s"
        case Unit.CORES:
            return f"{plain(number)} cores"
        case _:
            return plain(number)


def size(number: float, unit: Unit) -> float:
    """Return how large the unit is that a number is written in: round numbers are multiples of it."""
    units = {Unit.BYTES: _SIZES, Unit.SECONDS: _TIMES}.get(unit, ((1.0, ""),))
    return next((each for each, _ in units if abs(number) >= each), units[-1][0])


def plain(number: float) -> str:
    """Return a number to three digits, all of those before the point."""
    if number == 0:
        return "0"
    if abs(number) >= _THOUSAND or float(number).is_integer():
        return f"{number:,.0f}".replace(",", "\u202f")
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    found = f"{number:.{min(digits, 6)}f}"
    return found.rstrip("0").rstrip(".") if "." in found else found


def _scaled(number: float, units: tuple[tuple[float, str], ...]) -> str:
    each, name = next((pair for pair in units if abs(number) >= pair[0]), units[-1])
    return f"0 {units[-1][1] if units is _SIZES else 's'}" if number == 0 else f"{plain(number / each)} {name}"
