"""One document of evidence: plain data with one spelling, whose digest the next document names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops.errors import OperationError

__all__ = ["FORMAT", "GENESIS", "KEPT", "KINDS", "Entry", "Fault", "canonical", "digest", "following", "verify"]

FORMAT = "oss-mlops-platform/evidence/1"

GENESIS = "sha256:" + "0" * 64
"""What the first document names as the one before it."""

KINDS = ("update", "drift", "served")
"""`update`: an operation of the engine. `drift`: a comparison of state and cluster. `served`: other models answer."""

KEPT = 200
"""Documents that stay in the cluster; a file keeps all that it ever had."""

LARGEST = 128 * 1024
"""Bytes of one document. Its lists are bounded, so only names of absurd length get there."""


def canonical(document: Mapping[str, Any]) -> str:
    """Return the one spelling of a document: RFC 8785, which for texts, whole numbers and truth values is this."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """Return the SHA-256 of a document's text, with the algorithm in front."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True)
class Entry:
    """A document as it is kept."""

    text: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the document. Raises ValueError where the text is none."""
        found = json.loads(self.text)
        if not isinstance(found, dict):
            raise ValueError("found no JSON object")  # noqa: TRY004 (what json.loads raises for other faults)
        return found

    @property
    def digest(self) -> str:
        """Return the digest of the text as it is."""
        return digest(self.text)

    @property
    def number(self) -> int:
        """Return its place in the chain, from 1."""
        return int(self.document["number"])

    @property
    def name(self) -> str:
        """Return the name it has as a ConfigMap."""
        return f"{self.document['kind']}-{self.number}"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a chain."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def following(chain: Sequence[Entry], kind: str, facts: Mapping[str, Any]) -> Entry:
    """Return the document that comes after a chain. Raises OperationError for one that is too large to keep."""
    number = chain[-1].number + 1 if chain else 1
    document = {
        **facts,
        "format": FORMAT,
        "kind": kind,
        "number": number,
        "previous": chain[-1].digest if chain else GENESIS,
        "keptFrom": max(1, number - KEPT + 1),
    }
    text = canonical(document)
    if len(text.encode()) > LARGEST:
        msg = f"the document {kind}-{number} has {len(text.encode())} bytes, at most {LARGEST} are kept"
        raise OperationError(msg)
    return Entry(text)


def verify(chain: Sequence[Entry]) -> list[Fault]:
    """Return what is wrong with documents in their order: changed, missing, out of place.

    A chain may begin as late as its last document says that documents are kept. The cluster's does, and so does the
    file of a machine that took the cluster's documents over.
    """
    faults: list[Fault] = []
    before: Entry | None = None
    for position, entry in enumerate(chain, 1):
        try:
            document, name, number = entry.document, entry.name, entry.number
        except (ValueError, KeyError, TypeError) as error:
            faults.append(Fault(f"document {position}", f"cannot be read: {error}"))
            return faults
        if document.get("format") != FORMAT or document["kind"] not in KINDS:
            faults.append(Fault(name, f"has format {document.get('format')}, wanted {FORMAT}"))
        if canonical(document) != entry.text:
            faults.append(Fault(name, "is not spelled canonically: somebody wrote it again"))
        faults += _link(before, name, number, document)
        before = entry
    if before is not None and not faults:
        faults += _beginning(chain[0], before)
    return faults


def _link(before: Entry | None, name: str, number: int, document: Mapping[str, Any]) -> list[Fault]:
    if before is None:
        return []
    if number != before.number + 1:
        gap = f"{before.number + 1} to {number - 1}" if number > before.number + 2 else str(before.number + 1)
        missing = number > before.number + 1
        return [Fault(name, f"follows {before.name}: {gap} is missing" if missing else f"comes after {before.name}")]
    if document.get("previous") != before.digest:
        return [Fault(name, f"names {document.get('previous')} as the one before, {before.name} has {before.digest}")]
    return []


def _beginning(first: Entry, last: Entry) -> list[Fault]:
    allowed = int(last.document.get("keptFrom", 1))
    if first.number > allowed:
        return [Fault(first.name, f"is the first, wanted number {allowed}: earlier documents are missing")]
    if first.number == 1 and first.document.get("previous") != GENESIS:
        return [Fault(first.name, "is the first and names one before it")]
    return []
