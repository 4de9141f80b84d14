"""The framework's functions: check a measurement at load, bring a value into its unit, compare it with a target."""

from __future__ import annotations

import math
from decimal import Decimal
from difflib import get_close_matches

from cabc.document.model import BaselineTarget, Measurement
from cabc.measurement.base import CompareError, Mistake
from cabc.measurement.registry import Registry, installed
from cabc.measurement.types import kind_of, shown
from cabc.measurement.units import convert

__all__ = ["compare", "in_unit", "mistakes", "moved", "wanted"]


def compare(measurement: Measurement, value: object, target: object, registry: Registry | None = None) -> bool:
    """Return whether a value meets a target, both in the measurement's unit; CompareError when that has no answer."""
    known = registry or installed()
    kind = known.types.get(measurement.data_type)
    strategy = known.strategies.get(measurement.comparison)
    if kind is None or strategy is None:
        name = measurement.data_type if kind is None else measurement.comparison
        msg = f"no data type or comparison {name!r} is installed"
        raise CompareError(msg)
    if kind.name not in strategy.types and strategy.name not in kind.strategies:
        msg = f"{strategy.name} does not compare {kind.name} values"
        raise CompareError(msg)
    try:
        return strategy.compare(measurement, kind, value, target)
    except CompareError:
        raise
    except Exception as error:  # plugins are other people's code; one bad check must not stop a run
        msg = f"{strategy.name} failed on {shown(value)}: {type(error).__name__}: {error}"
        raise CompareError(msg) from error


def wanted(measurement: Measurement, target: object, registry: Registry | None = None) -> str:
    """Return in words what the value should have been, with unit and tolerance."""
    strategy = (registry or installed()).strategies.get(measurement.comparison)
    text = strategy.wanted(target) if strategy else f"{measurement.comparison} {shown(target)}"
    unit = f" {measurement.unit}" if measurement.unit else ""
    return text + unit + ("" if measurement.tolerance is None else f" ± {measurement.tolerance}")


def in_unit(measurement: Measurement, value: object) -> object:
    """Return a retrieved value in the measurement's unit; what is no number comes back as it is."""
    if measurement.value_unit is None or measurement.unit is None or isinstance(value, bool):
        return value
    if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return value
    return convert(value, measurement.value_unit, measurement.unit)


def moved(target: BaselineTarget, baseline: object) -> object:
    """Return the baseline's value with the target's margins; computed in decimals, as people would."""
    if target.relative is None and target.absolute is None:
        return baseline
    if isinstance(baseline, bool) or not isinstance(baseline, int | float) or not math.isfinite(baseline):
        msg = f"found {kind_of(baseline)} ({shown(baseline)}) as baseline, wanted a number"
        raise CompareError(msg)
    start = Decimal(repr(baseline))
    # A margin is a share of the size, so that it loosens in the same direction below zero.
    return float(start + abs(start) * Decimal(repr(target.relative or 0)) + Decimal(repr(target.absolute or 0)))


def mistakes(measurement: Measurement, registry: Registry | None = None) -> list[Mistake]:
    """Return what a loader should refuse: unknown names, bad pairs, targets, units, scales, tolerances; all of it."""
    known = registry or installed()
    kind = known.types.get(measurement.data_type)
    strategy = known.strategies.get(measurement.comparison)
    found: list[Mistake] = []
    if kind is None:
        found.append(_unknown("dataType", measurement.data_type, list(known.types)))
    if strategy is None:
        found.append(_unknown("comparison", measurement.comparison, list(known.strategies)))
    if kind is None:
        return found
    found += kind.mistakes(measurement)
    if strategy is None:
        return found
    if strategy.name not in (names := known.pairs(kind)):
        wanted_names = f"a comparison for {kind.name}"
        found.append(Mistake("comparison", strategy.name, wanted_names, f"write one of {', '.join(names)}"))
        return found
    found += strategy.mistakes(measurement, kind)
    found += _baseline_mistakes(measurement)
    keys = [mistake.key for mistake in found]
    return [mistake for index, mistake in enumerate(found) if mistake.key not in keys[:index]]


def _unknown(key: str, name: str, known: list[str]) -> Mistake:
    exact = [each for each in known if each.lower() == name.lower()]
    close = exact or get_close_matches(name, known, n=1, cutoff=0.5)
    fix = f"write {close[0]}" if close else "write one of them, or install the plugin that provides it"
    return Mistake(key, shown(name), f"one of {', '.join(known)}", fix)


def _baseline_mistakes(measurement: Measurement) -> list[Mistake]:
    target = measurement.target
    if not isinstance(target, BaselineTarget) or (target.relative is None and target.absolute is None):
        return []
    if measurement.data_type in {"ordinal", "boolean", "string"}:
        return [Mistake("target", "a margin", f"no margin for {measurement.data_type}", "remove relative and absolute")]
    return []
