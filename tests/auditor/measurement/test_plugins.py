"""Types and strategies that installed plugins add, and plugins that are broken."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from cabc.document.model import Measurement
from cabc.errors import CabcError
from cabc.measurement import CompareError, Registry, compare, mistakes, wanted

from tests.auditor.measurement.conftest import measurement


class Even:
    """A strategy of a plugin."""

    name = "Even"
    types = frozenset({"numeric"})

    def compare(self, measurement: Measurement, kind: Any, value: Any, target: object) -> bool:
        del target
        return kind.key(measurement, value) % 2 == 0

    def mistakes(self, measurement: Measurement, kind: Any) -> list[Any]:
        del measurement, kind
        return []

    def wanted(self, target: object) -> str:
        del target
        return "an even number"


class Version:
    """A type of a plugin that joins built-in strategies."""

    name = "version"
    strategies = frozenset({"GreaterThanOrEqual"})

    def key(self, measurement: Measurement, value: object) -> tuple[int, ...]:
        del measurement
        try:
            return tuple(int(part) for part in str(value).split("."))
        except ValueError as error:
            msg = f"found {value!r}, wanted a version"
            raise CompareError(msg) from error

    def mistakes(self, measurement: Measurement) -> list[Any]:
        del measurement
        return []


class Broken(Even):
    """A strategy with a fault in its code."""

    name = "Broken"

    def compare(self, measurement: Measurement, kind: Any, value: Any, target: object) -> bool:
        del measurement, kind, value, target
        raise ZeroDivisionError


class Thief(Even):
    """A plugin that wants a built-in name."""

    name = "LessThan"


class PointOf(EntryPoint):
    """An entry point whose object is at hand."""

    def load(self) -> Any:
        return {"even": Even, "version": Version(), "broken": Broken, "thief": Thief}[self.name]


def point(name: str) -> EntryPoint:
    return PointOf(name, f"package:{name}", "cabc")


def test_plugins_add_types_and_strategies() -> None:
    registry = Registry([point("version")], [point("even")])
    even, version = measurement("numeric", "Even", 0), measurement("version", "GreaterThanOrEqual", "1.9")

    assert mistakes(even, registry) == mistakes(version, registry) == []
    assert compare(even, 4, 0, registry)
    assert compare(version, "1.10", "1.9", registry)
    assert wanted(even, 0, registry) == "an even number"
    assert [each.key for each in mistakes(measurement("version", "LessThan", "1"), registry)] == ["comparison"]
    with pytest.raises(CompareError, match="wanted a version"):
        compare(version, "new", "1.9", registry)


def test_plugin_that_fails_is_an_error_of_its_leaf() -> None:
    with pytest.raises(CompareError, match="Broken failed on 4: ZeroDivisionError"):
        compare(measurement("numeric", "Broken", 0), 4, 0, Registry((), [point("broken")]))


@pytest.mark.parametrize("name", ["thief", "missing"])
def test_plugin_that_cannot_be_had_is_named(name: str) -> None:
    with pytest.raises(CabcError, match=name):
        Registry((), [point(name)])


def test_name_of_no_plugin_is_an_error() -> None:
    with pytest.raises(CompareError, match="no data type or comparison 'Even' is installed"):
        compare(measurement("numeric", "Even", 0), 4, 0)
