"""Find the components by their folders and put them in order by what they need."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping, Sequence
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
    PlatformError,
    UnknownComponentError,
)

__all__ = ["FOLDER", "Catalogue", "Components", "component_class", "conflicts", "folders", "keys", "order"]

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


Catalogue = Mapping[str, type[Component[Any]]]
"""Component classes by their key in the order form."""


class Components(Catalogue):
    """The project's own catalogue; a class is imported when it is asked for."""

    def __getitem__(self, key: str) -> type[Component[Any]]:
        return component_class(keys()[key])

    def __contains__(self, key: object) -> bool:
        return key in keys()

    def __iter__(self) -> Iterator[str]:
        return iter(keys())

    def __len__(self) -> int:
        return len(keys())


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


def order_classes(asked: Catalogue) -> list[str]:
    """Order as `order` does, for classes already at hand."""
    for problem in conflicts(asked):
        raise problem
    return list(TopologicalSorter(_graph(asked)).static_order())


def conflicts(asked: Catalogue, known: Catalogue | None = None) -> list[PlatformError]:
    """Return everything that keeps the asked components from being put in order; `known` could be added to them."""
    found: list[PlatformError] = []
    first: dict[type[Contract], str] = {}
    for key, cls in asked.items():
        for contract in cls.provides:
            if contract in first:
                found.append(DoubledProviderError(contract.__name__, first[contract], key))
            first.setdefault(contract, key)
    found += [
        MissingProviderError(key, contract.__name__, _candidates(contract, Components() if known is None else known))
        for key, cls in asked.items()
        for contract in cls.requires
        if contract not in first
    ]
    try:
        TopologicalSorter(_graph(asked)).prepare()
    except CycleError as error:
        found.append(CyclicNeedsError(list(reversed(error.args[1][1:]))))
    return found


def _graph(asked: Catalogue) -> dict[str, list[str]]:
    provider = {contract: key for key, cls in asked.items() for contract in cls.provides}
    return {
        key: [provider[contract] for contract in (*cls.requires, *cls.uses) if contract in provider]
        for key, cls in asked.items()
    }


def _candidates(contract: type[Contract], known: Catalogue) -> list[str]:
    return [key for key, cls in known.items() if contract in cls.provides]
