"""From the tree of a specification to its requirements and leaves, each with what it inherits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cabc.document.loaded import Leaf, RequirementNode
from cabc.document.model import ConformitySpecification, Dimension, Element, NestedDocument, Requirement
from cabc.errors import CabcError
from cabc.loading.structure import answers_itself

__all__ = ["Flattener", "Inherited"]

_LEAVES = 200_000


@dataclass(frozen=True, slots=True)
class Inherited:
    """What an element has from those above it."""

    confidential: bool = False
    assessor: str | None = None
    frequency: str | None = None

    def of(self, element: Element) -> Inherited:
        """Return what the element has itself, or else from above."""
        return Inherited(
            self.confidential or element.confidential,
            element.assessor or self.assessor,
            element.frequency or self.frequency,
        )


class Flattener:
    """Lays out checked documents; `documents` are all that nest anywhere, by digest. Bounds the sum of their leaves."""

    def __init__(self, documents: Mapping[str, ConformitySpecification]) -> None:
        self.documents = documents
        self.count = 0

    def flatten(
        self, specification: ConformitySpecification, digest: str, inherited: Inherited
    ) -> tuple[RequirementNode, ...]:
        """Return the requirements of a document with their leaves."""
        return tuple(self._specification(specification, digest, "", inherited))

    def _specification(
        self, specification: ConformitySpecification, digest: str, prefix: str, above: Inherited
    ) -> Iterator[RequirementNode]:
        mine = above.of(specification)
        if answers_itself(specification):
            yield self._answer(specification, _dimension(specification), digest, prefix + specification.id, mine)
        for dimension in specification.dimensions:
            yield from self._dimension(dimension, digest, prefix + dimension.id, mine.of(dimension))

    def _dimension(self, dimension: Dimension, digest: str, path: str, mine: Inherited) -> Iterator[RequirementNode]:
        if answers_itself(dimension):
            yield self._answer(dimension, dimension, digest, path, mine)
        if dimension.document is not None:
            yield from self._nested(dimension.document, path, mine)
        for requirement in dimension.requirements:
            below = mine.of(requirement)
            yield from self._requirement(dimension, requirement, digest, f"{path}/{requirement.id}", below)

    def _requirement(
        self, dimension: Dimension, requirement: Requirement, digest: str, path: str, mine: Inherited
    ) -> Iterator[RequirementNode]:
        leaves: list[Leaf] = []
        nodes: list[RequirementNode] = []
        if answers_itself(requirement):
            leaves.append(self._leaf(requirement, digest, path, mine))
        if requirement.document is not None:
            nodes = list(self._nested(requirement.document, path, mine))
            leaves += {leaf.path: leaf for node in nodes for leaf in node.leaves}.values()
        for metric in requirement.metrics:
            of_metric = mine.of(metric)
            if answers_itself(metric):
                leaves.append(self._leaf(metric, digest, f"{path}/{metric.id}", of_metric))
            for measurement in metric.measurements:
                at = f"{path}/{metric.id}/{measurement.id}"
                leaves.append(self._leaf(measurement, digest, at, of_metric.of(measurement)))
        inner = {name for node in nodes for name in node.nested}
        direct = tuple(node.path for node in nodes if node.path not in inner)
        yield RequirementNode(
            path, dimension, requirement, mine.frequency or "", mine.confidential, tuple(leaves), nested=direct
        )
        yield from nodes

    def _nested(self, document: NestedDocument, path: str, mine: Inherited) -> Iterator[RequirementNode]:
        yield from self._specification(self.documents[document.digest], document.digest, f"{path}/", mine)

    def _leaf(self, element: Element, digest: str, path: str, mine: Inherited) -> Leaf:
        self.count += 1
        if self.count > _LEAVES:
            msg = f"with its nested documents the specification has more than {_LEAVES:,} measurements"
            raise CabcError(msg, fix="Split it, or nest a document in fewer places.")
        return Leaf(path, element, mine.confidential, mine.assessor, mine.frequency, digest)  # type: ignore[arg-type]  # levels are Leaf's

    def _answer(
        self,
        element: Dimension | ConformitySpecification,
        dimension: Dimension,
        digest: str,
        path: str,
        mine: Inherited,
    ) -> RequirementNode:
        """Return the requirement that stands for an element which an external assessor answers for."""
        name, comment = element.name or element.id, element.comment
        requirement = Requirement(id=element.id, name=name, comment=comment, severity="critical")
        leaf = self._leaf(element, digest, path, mine)
        return RequirementNode(path, dimension, requirement, mine.frequency or "on-event", mine.confidential, (leaf,))


def _dimension(specification: ConformitySpecification) -> Dimension:
    return Dimension(id=specification.id, name=specification.name, comment=specification.comment)
