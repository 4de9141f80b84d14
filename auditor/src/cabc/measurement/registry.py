"""Data types and strategies by name: the built-in ones and those of installed plugins."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from cabc.errors import CabcError
from cabc.measurement import strategies as built_in_strategies
from cabc.measurement import types as built_in_types
from cabc.measurement.base import DataType, Strategy

__all__ = ["Registry", "installed"]


class Registry:
    """What measurements may name. A plugin adds names; it never replaces a built-in one."""

    def __init__(self, types: Iterable[EntryPoint] = (), strategies: Iterable[EntryPoint] = ()) -> None:
        self.types: dict[str, DataType] = {kind.name: kind for kind in built_in_types.BUILT_IN}
        self.strategies: dict[str, Strategy] = {each.name: each for each in built_in_strategies.BUILT_IN}
        for point in types:
            _add(self.types, point, cast("DataType", _load(point)))
        for point in strategies:
            _add(self.strategies, point, cast("Strategy", _load(point)))

    def pairs(self, kind: DataType) -> list[str]:
        """Return the names of the strategies that compare a type."""
        return [name for name, each in self.strategies.items() if kind.name in each.types or name in kind.strategies]


def _load(point: EntryPoint) -> Any:
    try:
        loaded = point.load()
        return loaded() if isinstance(loaded, type) else loaded
    except Exception as error:
        msg = f"plugin {point.name} ({point.value}) cannot be loaded: {type(error).__name__}: {error}"
        raise CabcError(msg, fix="repair or uninstall the package that provides it") from error


def _add(known: dict[str, Any], point: EntryPoint, plugin: Any) -> None:
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or name in known:
        msg = f"plugin {point.name} ({point.value}) has the name {name!r}, which is missing or taken"
        raise CabcError(msg, fix="give it a name of its own, or uninstall the package that provides it")
    known[name] = plugin


@cache
def installed() -> Registry:
    """Return the registry of this process; entry points are read once."""
    return Registry(entry_points(group="cabc.types"), entry_points(group="cabc.strategies"))
