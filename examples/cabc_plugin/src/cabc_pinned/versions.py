"""Versions as a data type, and compatibility as a strategy."""

from __future__ import annotations

from cabc.document.model import Measurement
from cabc.measurement.base import CompareError, DataType, Mistake
from packaging.version import InvalidVersion
from packaging.version import Version as Parsed

__all__ = ["CompatibleWith", "Version"]


class Version:
    """Versions of Python packages; 1.10 comes after 1.9, and 1.0rc1 before 1.0."""

    name = "version"
    strategies = frozenset(
        {"LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual", "EqualTo", "NotEqualTo", "In"}
    )

    def key(self, measurement: Measurement, value: object) -> Parsed:
        del measurement
        try:
            return Parsed(value if isinstance(value, str) else "")
        except InvalidVersion as error:
            message = f"{value!r} is no version"
            raise CompareError(message) from error

    def mistakes(self, measurement: Measurement) -> list[Mistake]:
        if measurement.unit is None:
            return []
        return [Mistake("unit", measurement.unit, "no unit", "versions have none; remove it")]


class CompatibleWith:
    """The same major version as the target, and not older."""

    name = "CompatibleWith"
    types = frozenset({"version"})

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        found, wanted = kind.key(measurement, value), kind.key(measurement, target)
        return bool(found.major == wanted.major and found >= wanted)

    def mistakes(self, measurement: Measurement, kind: DataType) -> list[Mistake]:
        if not isinstance(measurement.target, str):
            return [Mistake("target", repr(measurement.target), "a version in quotes", 'write for example "1.5"')]
        try:
            kind.key(measurement, measurement.target)
        except CompareError as error:
            return [Mistake("target", measurement.target, "a version", str(error))]
        return []

    def wanted(self, target: object) -> str:
        return f"compatible with {target}"
