"""What a data type and a comparison strategy are. Plugins give the same two shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from cabc.document.model import Measurement

__all__ = ["CompareError", "DataType", "Mistake", "Strategy"]


class CompareError(Exception):
    """Value and target cannot be compared; one line that says what was found and what was wanted."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in a measurement of a document, found before anything is retrieved."""

    key: str
    """Key inside the measurement as it is written: `target`, `target.min`, `valueUnit`."""
    found: str
    wanted: str
    fix: str | None = None


class DataType(Protocol):
    """A type of values. Entry points of group `cabc.types` give one, as an instance or a class without arguments."""

    name: str
    """What `dataType` says."""
    strategies: frozenset[str]
    """Names of the strategies that compare it, beside those that name it themselves."""

    def key(self, measurement: Measurement, value: object) -> Any:
        """Return what strategies compare in place of the value: it orders and equals as the type means it.

        CompareError when the value is not of this type.
        """
        ...

    def mistakes(self, measurement: Measurement) -> list[Mistake]:
        """Return what is wrong with the keys that this type needs or does not take."""
        ...


class Strategy(Protocol):
    """A way to compare. Entry points of group `cabc.strategies` give one, as an instance or a class."""

    name: str
    """What `comparison` says."""
    types: frozenset[str]
    """Names of the data types that it compares."""

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        """Return whether the value meets the target; both in the measurement's unit. CompareError when neither."""
        ...

    def mistakes(self, measurement: Measurement, kind: DataType) -> list[Mistake]:
        """Return what is wrong with a target that the document itself holds, and with the keys it needs."""
        ...

    def wanted(self, target: object) -> str:
        """Return the target in words for a reason: `less than 0.02`."""
        ...
