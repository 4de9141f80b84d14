"""The four built-in data types."""

from __future__ import annotations

import math

from cabc.document.model import Measurement
from cabc.measurement.base import CompareError, Mistake
from cabc.measurement.units import unit_fault

__all__ = ["BUILT_IN", "Boolean", "Numeric", "Ordinal", "String", "kind_of", "shown"]

_BITS = 1023
"""The largest whole number that is compared is as large as the largest fraction."""


def kind_of(value: object) -> str:
    """Return a value's type in a document's words, never Python's."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"


def shown(value: object) -> str:
    """Return a value for a reason: as it is written in JSON, shortened."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > _BITS:
        return f"a whole number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}…"  # noqa: PLR2004 (a line of a report)


def _refused(keys: dict[str, object], kind: str) -> list[Mistake]:
    """Return a mistake for each key that the type has no use for."""
    return [
        Mistake(key, shown(value), f"no {key} for a {kind} measurement", f"remove {key}")
        for key, value in keys.items()
        if value is not None
    ]


def _units(measurement: Measurement) -> list[Mistake]:
    if measurement.unit is None:
        if measurement.value_unit is None:
            return []
        return [Mistake("valueUnit", measurement.value_unit, "a unit to convert into", "add unit, or remove valueUnit")]
    if fault := unit_fault(measurement.unit):
        return [Mistake("unit", measurement.unit, "a unit", fault)]
    if measurement.value_unit and (fault := unit_fault(measurement.unit, measurement.value_unit)):
        return [Mistake("valueUnit", measurement.value_unit, f"a unit that converts into {measurement.unit}", fault)]
    return []


class Numeric:
    """Finite numbers. A boolean is none, and text is none unless the interface declares `cast`."""

    name = "numeric"
    strategies: frozenset[str] = frozenset()

    def key(self, measurement: Measurement, value: object) -> float:
        del measurement
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = "; declare `cast: numeric` at its interface" if isinstance(value, str) else ""
            msg = f"found {kind_of(value)} ({shown(value)}), wanted a number{hint}"
            raise CompareError(msg)
        if (value.bit_length() > _BITS) if isinstance(value, int) else not math.isfinite(value):
            msg = f"found {shown(value)}, which is not a finite number"
            raise CompareError(msg)
        return value

    def mistakes(self, measurement: Measurement) -> list[Mistake]:
        return [*_refused({"scale": measurement.scale}, self.name), *_units(measurement)]


class Ordinal:
    """Words of a scale, ordered as the scale lists them."""

    name = "ordinal"
    strategies: frozenset[str] = frozenset()

    def key(self, measurement: Measurement, value: object) -> int:
        scale = measurement.scale or []
        if not isinstance(value, str) or value not in scale:
            msg = f"found {shown(value)}, wanted one of the scale {', '.join(scale)}"
            raise CompareError(msg)
        return scale.index(value)

    def mistakes(self, measurement: Measurement) -> list[Mistake]:
        found = _refused(
            {"unit": measurement.unit, "valueUnit": measurement.value_unit, "tolerance": measurement.tolerance},
            self.name,
        )
        scale = measurement.scale
        if scale is None:
            found.append(Mistake("scale", "nothing", "the values, lowest first", "add scale: [low, medium, high]"))
        elif len(scale) < 2:  # noqa: PLR2004 (an order needs two)
            found.append(Mistake("scale", shown(scale), "at least two values", "add the other values, lowest first"))
        elif len(set(scale)) != len(scale):
            found.append(Mistake("scale", shown(scale), "each value once", "remove the repeated value"))
        return found


class Boolean:
    """True and false; 1 and 0 are numbers."""

    name = "boolean"
    strategies: frozenset[str] = frozenset()

    def key(self, measurement: Measurement, value: object) -> bool:
        del measurement
        if not isinstance(value, bool):
            hint = "; declare `cast: boolean` at its interface" if isinstance(value, str) else ""
            msg = f"found {kind_of(value)} ({shown(value)}), wanted true or false{hint}"
            raise CompareError(msg)
        return value

    def mistakes(self, measurement: Measurement) -> list[Mistake]:
        return _refused(_quantity(measurement), self.name)


class String:
    """Text, compared letter by letter: case and white space count."""

    name = "string"
    strategies: frozenset[str] = frozenset()

    def key(self, measurement: Measurement, value: object) -> str:
        del measurement
        if not isinstance(value, str):
            msg = f"found {kind_of(value)} ({shown(value)}), wanted text"
            raise CompareError(msg)
        return value

    def mistakes(self, measurement: Measurement) -> list[Mistake]:
        return _refused(_quantity(measurement), self.name)


def _quantity(measurement: Measurement) -> dict[str, object]:
    return {
        "unit": measurement.unit,
        "valueUnit": measurement.value_unit,
        "tolerance": measurement.tolerance,
        "scale": measurement.scale,
    }


BUILT_IN = (Numeric(), Ordinal(), Boolean(), String())
