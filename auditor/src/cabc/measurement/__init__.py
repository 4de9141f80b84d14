"""Types of values, strategies of comparison, units; which goes with which."""

from __future__ import annotations

from cabc.measurement.base import CompareError, DataType, Mistake, Strategy
from cabc.measurement.judge import compare, in_unit, mistakes, moved, wanted
from cabc.measurement.registry import Registry, installed

__all__ = [
    "CompareError",
    "DataType",
    "Mistake",
    "Registry",
    "Strategy",
    "compare",
    "in_unit",
    "installed",
    "mistakes",
    "moved",
    "wanted",
]
