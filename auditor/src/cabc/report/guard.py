"""What a reader may see of requirements and leaves, and of what people said about them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Self

from cabc.document.loaded import Leaf, LoadedDocument, RequirementNode
from cabc.record.types import Attestation, Waiver
from cabc.report.types import AttestationView, Reader, WaiverView

__all__ = ["Guard"]


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A path that the document does not know is withheld, to be careful."""

    reader: Reader
    nodes: dict[str, RequirementNode] = field(default_factory=dict)
    leaves: dict[str, Leaf] = field(default_factory=dict)

    @classmethod
    def of(cls, reader: Reader, document: LoadedDocument | None) -> Self:
        """Return the guard over a document; over none, everything is withheld."""
        return cls(
            reader=reader,
            nodes={node.path: node for node in document.requirements} if document else {},
            leaves={leaf.path: leaf for leaf in document.leaves()} if document else {},
        )

    @property
    def guarded(self) -> bool:
        """Return whether confidential details are withheld from the reader."""
        return self.reader != "auditor"

    @property
    def hides_some(self) -> bool:
        """Return whether there is any requirement whose reason is withheld."""
        return self.guarded and (not self.nodes or any(map(self.hides_reason, self.nodes)))

    def hides_leaf(self, path: str) -> bool:
        """Return whether a leaf's details are withheld."""
        if not self.guarded:
            return False
        leaf = self.leaves.get(path)
        return leaf is None or leaf.confidential

    def hides_requirement(self, path: str) -> bool:
        """Return whether a requirement's own texts are withheld."""
        if not self.guarded:
            return False
        node = self.nodes.get(path)
        return node is None or node.confidential

    def hides_reason(self, path: str) -> bool:
        """Return whether a requirement's reason is withheld: it may quote what a confidential leaf found."""
        node = self.nodes.get(path)
        return self.hides_requirement(path) or (
            self.guarded and node is not None and any(leaf.confidential for leaf in node.leaves)
        )

    def waiver_view(self, waiver: Waiver, now: dt.datetime) -> WaiverView:
        """Return a waiver as it stands at an instant."""
        hidden = self.hides_reason(waiver.requirement)
        return WaiverView(
            id=waiver.id,
            requirement=waiver.requirement,
            state="in force" if waiver.created <= now < waiver.expires else "expired",
            created=waiver.created,
            expires=waiver.expires,
            reason=None if hidden else waiver.reason,
            approver=None if hidden else waiver.approver,
        )

    def attestation_view(self, given: Attestation, now: dt.datetime) -> AttestationView:
        """Return an attestation as it stands at an instant."""
        hidden = self.hides_leaf(given.path)
        return AttestationView(
            id=given.id,
            path=given.path,
            state="valid" if now < given.valid_until else "expired",
            created=given.created,
            valid_until=given.valid_until,
            statement=None if hidden else given.statement,
            party=None if hidden else given.party,
            value=None if hidden else given.value,
            evidence=[] if hidden else given.evidence,
        )
