"""A way through the specification that knows the place of every element."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cabc.document.model import ConformitySpecification, Dimension, Element, Measurement, Metric, Requirement

__all__ = ["ROOT", "Keys", "Place", "places"]

Keys = tuple[str | int, ...]
"""Keys and indexes as in the file."""
ROOT: Keys = ("conformitySpecification",)


@dataclass(frozen=True, slots=True)
class Place:
    """An element, where it stands and what stands above it."""

    element: Element
    keys: Keys
    above: tuple[Element, ...]

    @property
    def level(self) -> str:
        """Return what the level is called, in lower case."""
        return _LEVELS[type(self.element)]

    @property
    def frequency(self) -> str | None:
        """Return the element's own frequency or the nearest one above."""
        return next((one.frequency for one in (self.element, *reversed(self.above)) if one.frequency), None)


_LEVELS: dict[type[Element], str] = {
    ConformitySpecification: "specification",
    Dimension: "dimension",
    Requirement: "requirement",
    Metric: "metric",
    Measurement: "measurement",
}


def _below(element: Element) -> tuple[str, list[Element]]:
    match element:
        case ConformitySpecification():
            return "dimensions", [*element.dimensions]
        case Dimension():
            return "requirements", [*element.requirements]
        case Requirement():
            return "metrics", [*element.metrics]
        case Metric():
            return "measurements", [*element.measurements]
        case _:
            return "", []


def places(element: Element, keys: Keys = ROOT, above: tuple[Element, ...] = ()) -> Iterator[Place]:
    """Give an element and all below it, in the document's order."""
    yield Place(element, keys, above)
    name, elements = _below(element)
    for index, one in enumerate(elements):
        yield from places(one, (*keys, name, index), (*above, element))
