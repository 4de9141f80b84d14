"""The eleven built-in comparison strategies."""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cabc.document.model import BaselineTarget, InterfaceTarget, Measurement, RangeTarget, ReferenceTarget
from cabc.measurement.base import CompareError, DataType, Mistake
from cabc.measurement.types import kind_of, shown
from cabc.patterns import compile_pattern

__all__ = ["BUILT_IN", "pattern"]

_LATER = (ReferenceTarget, InterfaceTarget, BaselineTarget)
"""Targets whose value is known only in a run."""

_NUMERIC = frozenset({"numeric"})
_ORDERED = frozenset({"numeric", "ordinal"})
_EQUAL = frozenset({"numeric", "ordinal", "boolean", "string"})
_STRING = frozenset({"string"})


def _decimal(number: float) -> Decimal:
    """Return the number as people read it: 1.01 is exactly 1.01, so 1.01 is within 0.01 of 1."""
    return Decimal(repr(number))


def _target_mistakes(measurement: Measurement, kind: DataType, target: object, key: str = "target") -> list[Mistake]:
    """Return a mistake when a target in the document is not a value of the type."""
    try:
        kind.key(measurement, target)
    except CompareError as error:
        if kind.name == "ordinal" and not measurement.scale:
            return []  # the missing scale is the mistake, and it has been named
        hint = "quote it: YAML reads it as something else" if kind.name == "string" else None
        return [Mistake(key, shown(target), f"a value of type {kind.name}", hint or str(error))]
    return []


class _Single:
    """What strategies with one value as target share."""

    name = ""
    types = _EQUAL
    phrase = ""

    def mistakes(self, measurement: Measurement, kind: DataType) -> list[Mistake]:
        target = measurement.target
        if isinstance(target, _LATER):
            return self.needs(measurement)
        if isinstance(target, RangeTarget):
            return [Mistake("target", "a range", f"one value for {self.name}", "use InRange, or write one value")]
        if isinstance(target, list):
            return [Mistake("target", "a list", f"one value for {self.name}", "use In, or write one value")]
        return _target_mistakes(measurement, kind, target) or self.needs(measurement)

    def needs(self, measurement: Measurement) -> list[Mistake]:
        """Return mistakes in the other keys; only strategies that use a tolerance take one."""
        if measurement.tolerance is None:
            return []
        return [Mistake("tolerance", shown(measurement.tolerance), f"no tolerance for {self.name}", "remove tolerance")]

    def wanted(self, target: object) -> str:
        return f"{self.phrase} {shown(target)}"


class Order(_Single):
    """LessThan and its three relatives."""

    types = _ORDERED

    def __init__(self, name: str, phrase: str, decide: Callable[[Any, Any], bool]) -> None:
        self.name, self.phrase, self._decide = name, phrase, decide

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        return self._decide(kind.key(measurement, value), kind.key(measurement, target))


def _is_fraction(value: object) -> bool:
    return isinstance(value, float) and not value.is_integer()


class Equal(_Single):
    """EqualTo and NotEqualTo. Fractions need a tolerance: no computed 0.3 equals a written 0.3."""

    def __init__(self, name: str, phrase: str, *, equal: bool) -> None:
        self.name, self.phrase, self._equal = name, phrase, equal

    def needs(self, measurement: Measurement) -> list[Mistake]:
        tolerance = measurement.tolerance
        if tolerance is not None and tolerance < 0:
            return [Mistake("tolerance", shown(tolerance), "zero or more", "write it without a sign")]
        if tolerance is None and _is_fraction(measurement.target):
            fix = "add tolerance, for example 0.001"
            return [Mistake("tolerance", "nothing", f"a tolerance, because {measurement.target} is a fraction", fix)]
        return []

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        left, right = kind.key(measurement, value), kind.key(measurement, target)
        tolerance = measurement.tolerance
        if tolerance is not None and kind.name == "numeric":
            same = abs(_decimal(left) - _decimal(right)) <= _decimal(tolerance)
        elif _is_fraction(left) or _is_fraction(right):
            msg = f"{self.name} on fractions ({shown(left)}, {shown(right)}) needs a tolerance"
            raise CompareError(msg)
        else:
            same = left == right
        return same is self._equal


class WithinTolerance(_Single):
    """Not further from the target than the tolerance, both ends inclusive."""

    name = "WithinTolerance"
    types = _NUMERIC
    phrase = "close to"

    def needs(self, measurement: Measurement) -> list[Mistake]:
        if measurement.tolerance is None:
            return [Mistake("tolerance", "nothing", "a tolerance for WithinTolerance", "add tolerance, such as 0.01")]
        if measurement.tolerance < 0:
            return [Mistake("tolerance", shown(measurement.tolerance), "zero or more", "write it without a sign")]
        return []

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        if measurement.tolerance is None:
            raise CompareError("WithinTolerance needs a tolerance")
        left, right = kind.key(measurement, value), kind.key(measurement, target)
        return abs(_decimal(left) - _decimal(right)) <= _decimal(measurement.tolerance)


class InRange(_Single):
    """Between two ends, both inclusive; an open end is left out."""

    name = "InRange"
    types = _ORDERED

    def mistakes(self, measurement: Measurement, kind: DataType) -> list[Mistake]:
        target = measurement.target
        if not isinstance(target, RangeTarget):
            return [Mistake("target", shown(target), "a range", "write target: {min: 0.8, max: 1.25}")]
        if target.min is None and target.max is None:
            return [Mistake("target", "a range without ends", "min, max or both", "add min or max")]
        found = self.needs(measurement)
        for name, end in (("min", target.min), ("max", target.max)):
            if end is not None:
                found += _target_mistakes(measurement, kind, end, f"target.{name}")
        if found or target.min is None or target.max is None or (kind.name == "ordinal" and not measurement.scale):
            return found
        if kind.key(measurement, target.min) > kind.key(measurement, target.max):
            return [Mistake("target.max", shown(target.max), f"at least min ({shown(target.min)})", "exchange them")]
        return []

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        if not isinstance(target, RangeTarget) or (target.min is None and target.max is None):
            msg = f"found {kind_of(target)} as target, wanted a range with min or max"
            raise CompareError(msg)
        key = kind.key(measurement, value)
        above = target.min is None or bool(kind.key(measurement, target.min) <= key)
        below = target.max is None or bool(key <= kind.key(measurement, target.max))
        return above and below

    def wanted(self, target: object) -> str:
        if not isinstance(target, RangeTarget):
            return f"in {shown(target)}"
        if target.min is None:
            return f"at most {shown(target.max)}"
        return f"at least {shown(target.min)}" + ("" if target.max is None else f" and at most {shown(target.max)}")


class Contains(_Single):
    """The text has the target as a part, or the list has it as a member."""

    name = "Contains"
    types = _STRING
    phrase = "containing"

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        wanted = kind.key(measurement, target)
        if isinstance(value, list):
            return any(isinstance(member, str) and member == wanted for member in value)
        return wanted in kind.key(measurement, value)

    def mistakes(self, measurement: Measurement, kind: DataType) -> list[Mistake]:
        if measurement.target == "":
            return [Mistake("target", "an empty text", "text to look for", "every text contains nothing; write some")]
        return super().mistakes(measurement, kind)


class In(_Single):
    """The text is one of a list."""

    name = "In"
    types = _STRING

    def mistakes(self, measurement: Measurement, kind: DataType) -> list[Mistake]:
        target = measurement.target
        if isinstance(target, InterfaceTarget):
            return self.needs(measurement)
        if not isinstance(target, list) or not target:
            return [Mistake("target", shown(target), "a list of texts", "write target: [first, second]")]
        found = self.needs(measurement)
        for index, member in enumerate(target):
            found += _target_mistakes(measurement, kind, member, f"target[{index}]")
        return found

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        if not isinstance(target, list):
            msg = f"found {kind_of(target)} as target, wanted a list"
            raise CompareError(msg)
        return kind.key(measurement, value) in [kind.key(measurement, member) for member in target]

    def wanted(self, target: object) -> str:
        return f"one of {shown(target)}"


@lru_cache(maxsize=512)
def pattern(text: str) -> Any:
    """Return a compiled RE2 pattern, whose time is linear in the text; CompareError for what RE2 does not take."""
    try:
        return compile_pattern(text, memory=4 << 20)
    except ValueError as error:
        msg = f"{shown(text)} is no RE2 pattern: {error}"
        raise CompareError(msg) from error


class Matches(_Single):
    """The whole text matches an RE2 pattern; `.*` on either side looks for a part."""

    name = "Matches"
    types = _STRING
    phrase = "matching"

    def compare(self, measurement: Measurement, kind: DataType, value: object, target: object) -> bool:
        text = kind.key(measurement, value)
        return pattern(kind.key(measurement, target)).fullmatch(text) is not None

    def mistakes(self, measurement: Measurement, kind: DataType) -> list[Mistake]:
        found = super().mistakes(measurement, kind)
        if not found and isinstance(measurement.target, str):
            try:
                pattern(measurement.target)
            except CompareError as error:
                return [Mistake("target", shown(measurement.target), "an RE2 pattern", str(error))]
        return found


BUILT_IN = (
    Order("LessThan", "less than", operator.lt),
    Order("LessThanOrEqual", "at most", operator.le),
    Order("GreaterThan", "greater than", operator.gt),
    Order("GreaterThanOrEqual", "at least", operator.ge),
    Equal("EqualTo", "equal to", equal=True),
    Equal("NotEqualTo", "other than", equal=False),
    Contains(),
    In(),
    InRange(),
    WithinTolerance(),
    Matches(),
)
