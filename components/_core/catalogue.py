"""Find the components by their folders and put them in order by what they need."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel, to_pascal

from components._core.component import Component
from components._core.contracts import Contract
from components._core.errors import (
    CyclicNeedsError,
    DoubledProviderError,
    MissingProviderError,
    UnknownComponentError,
)

__all__ = ["FOLDER", "component_class", "folders", "keys", "order"]

FOLDER = Path(__file__).resolve().parents[1]
"""The folder `components/`."""


def folders() -> list[str]:
    """Return the names of all component folders, sorted."""
    return sorted(file.parent.name for file in FOLDER.glob("[a-z]*/component.py"))


def keys() -> dict[str, str]:
    """Return the order form's key of every component with the folder it stands for."""
    return {to_camel(folder): folder for folder in folders()}


def component_class(folder: str) -> type[Component[Any]]:
    """Return the class of a component folder: `object_store` holds `ObjectStoreComponent`."""
    module = importlib.import_module(f"components.{folder}.component")
    found: type[Component[Any]] = getattr(module, f"{to_pascal(folder)}Component")
    return found


def order(asked: Sequence[str]) -> list[str]:
    """Put the asked components (order-form keys) in an order that satisfies their needs.

    Raises UnknownComponentError, DoubledProviderError, MissingProviderError or CyclicNeedsError.
    """
    known = keys()
    for key in asked:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            raise UnknownComponentError(key, known, close[0] if close else None)
    return order_classes({key: component_class(known[key]) for key in asked})


def order_classes(asked: Mapping[str, type[Component[Any]]]) -> list[str]:
    """Order as `order` does, for classes already at hand."""
    provider = _providers(asked)
    graph: dict[str, list[str]] = {}
    for key, cls in asked.items():
        for contract in cls.requires:
            if contract not in provider:
                raise MissingProviderError(key, contract.__name__, _candidates(contract))
        wanted = (*cls.requires, *cls.uses)
        graph[key] = [provider[contract] for contract in wanted if contract in provider]
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise CyclicNeedsError(list(reversed(error.args[1][1:]))) from error


def _providers(asked: Mapping[str, type[Component[Any]]]) -> dict[type[Contract], str]:
    provider: dict[type[Contract], str] = {}
    for key, cls in asked.items():
        for contract in cls.provides:
            if contract in provider:
                raise DoubledProviderError(contract.__name__, provider[contract], key)
            provider[contract] = key
    return provider


def _candidates(contract: type[Contract]) -> list[str]:
    return [key for key, folder in keys().items() if contract in component_class(folder).provides]
