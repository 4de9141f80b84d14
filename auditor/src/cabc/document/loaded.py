"""A document as the engine sees it: resolved nested documents, and every leaf with what it inherits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cabc.document.model import ConformitySpecification, Dimension, Measurement, Metric, Requirement

__all__ = ["Leaf", "LoadedDocument", "RequirementNode"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing to retrieve and judge: a measurement, or an element whose external assessor answers for it."""

    path: str
    """Ids from dimension to measurement joined by slashes, `dimension/requirement/metric/measurement`; a nested
    document's path comes behind the element that holds it. Unique in the document; names the leaf everywhere."""
    element: Measurement | Metric | Requirement | Dimension | ConformitySpecification
    """The measurement; another level only when its assessor returns a result for it."""
    confidential: bool
    """Own flag or an ancestor's."""
    assessor: str | None
    """Own assessor or the nearest ancestor's."""
    frequency: str | None
    """Own frequency or the nearest ancestor's."""
    specification: str
    """Digest of the document that holds it, `sha256:…`; a nested one's for its leaves."""


@dataclass(frozen=True, slots=True)
class RequirementNode:
    """A requirement with its place, its metrics and their leaves.

    A dimension or a whole specification that an external assessor answers for stands here as one critical requirement
    of the same id, with itself as its only leaf.
    """

    path: str
    dimension: Dimension
    requirement: Requirement
    frequency: str
    confidential: bool
    leaves: tuple[Leaf, ...]
    """All leaves below, nested documents' included."""
    nested: tuple[str, ...] = ()
    """Paths of the nested document's requirements, when it holds one: their verdicts are its metrics' in its place."""


@dataclass(frozen=True)
class LoadedDocument:
    """A validated specification, its source text and its nested documents."""

    specification: ConformitySpecification
    text: bytes
    """The file as it was read."""
    digest: str
    """SHA-256 of `text`, with `sha256:` in front."""
    nested: dict[str, LoadedDocument] = field(default_factory=dict)
    """Nested documents by digest."""
    requirements: tuple[RequirementNode, ...] = ()
    """Every requirement in the document's order, nested documents' behind the element that holds them.

    A requirement that holds a document has that document's leaves, and so have the document's own requirements."""

    def leaves(self) -> Iterator[Leaf]:
        """Give every leaf once, in the document's order."""
        seen: set[str] = set()
        for node in self.requirements:
            for leaf in node.leaves:
                if leaf.path not in seen:
                    seen.add(leaf.path)
                    yield leaf
