"""Documents of evidence: plain data with one spelling, each naming the digest of the one before it.

What is stated here is read by three: `mlops`, which writes them, the interface `infrastructure`, and a trace. Nothing
of the auditor's document model is imported, because that model is made with the interfaces of plugins.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cabc.record import canonical as spelling

__all__ = ["FORMAT", "GENESIS", "KINDS", "Document", "Fault", "canonical", "digest", "in_force", "instant", "verify"]

FORMAT = "oss-mlops-platform/evidence/1"

GENESIS = "sha256:" + "0" * 64
"""What the first document names as the one before it."""

KINDS = ("update", "drift", "served")
"""`update`: an operation of the engine. `drift`: a comparison of state and cluster. `served`: other models answer."""

canonical = spelling.canonical


def digest(text: str) -> str:
    """Return the SHA-256 of a document's text, with the algorithm in front."""
    return spelling.digest(text.encode())


@dataclass(frozen=True)
class Document:
    """A document as it is kept."""

    text: str

    @cached_property
    def body(self) -> dict[str, Any]:
        """Return what it says. Raises ValueError where the text is none."""
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
        return int(self.body["number"])

    @property
    def name(self) -> str:
        """Return the name it has as a ConfigMap."""
        return f"{self.body['kind']}-{self.number}"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a chain."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def verify(chain: Sequence[Document]) -> list[Fault]:
    """Return what is wrong with documents in their order: changed, missing, out of place.

    A chain may begin as late as its last document says that documents are kept. The cluster's does, and so does the
    file of a machine that took the cluster's documents over.
    """
    faults: list[Fault] = []
    before: Document | None = None
    for position, document in enumerate(chain, 1):
        try:
            body, name, number = document.body, document.name, document.number
            spelled = canonical(body)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            faults.append(Fault(f"document {position}", f"cannot be read: {error}"))
            return faults
        if body.get("format") != FORMAT or body["kind"] not in KINDS:
            faults.append(Fault(name, f"has format {body.get('format')}, wanted {FORMAT}"))
        if spelled != document.text:
            faults.append(Fault(name, "is not spelled canonically: somebody wrote it again"))
        faults += _link(before, name, number, body)
        before = document
    if before is not None and not faults:
        faults += _beginning(chain[0], before)
    return faults


def in_force(chain: Sequence[Document], when: dt.datetime) -> Document | None:
    """Return the operation of the engine whose outcome was in the cluster at an instant."""
    found = None
    for document in chain:
        body = document.body
        if body["kind"] == "update" and body["update"]["ended"] and instant(body["update"]["ended"]) <= when:
            found = document
    return found


def instant(text: str) -> dt.datetime:
    """Return an instant with its time zone. Raises ValueError for any other text."""
    found = dt.datetime.fromisoformat(text)
    if found.tzinfo is None:
        msg = f"{text!r} has no time zone"
        raise ValueError(msg)
    return found


def _link(before: Document | None, name: str, number: int, body: dict[str, Any]) -> list[Fault]:
    if before is None:
        return []
    if number != before.number + 1:
        gap = f"{before.number + 1} to {number - 1}" if number > before.number + 2 else str(before.number + 1)
        missing = number > before.number + 1
        return [Fault(name, f"follows {before.name}: {gap} is missing" if missing else f"comes after {before.name}")]
    if body.get("previous") != before.digest:
        return [Fault(name, f"names {body.get('previous')} as the one before, {before.name} has {before.digest}")]
    return []


def _beginning(first: Document, last: Document) -> list[Fault]:
    allowed = last.body.get("keptFrom", 1)
    if not isinstance(allowed, int) or first.number > allowed:
        return [Fault(first.name, f"is the first, wanted number {allowed}: earlier documents are missing")]
    if first.number == 1 and first.body.get("previous") != GENESIS:
        return [Fault(first.name, "is the first and names one before it")]
    return []
