"""The documents of evidence, read and checked: each names the digest of the one before it."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cabc.interfaces.base import ExtractError, RetrieveError
from cabc.interfaces.structured import parse_json
from cabc.record.canonical import canonical, digest

__all__ = ["FORMAT", "Document", "faults_of", "instant", "read"]

FORMAT = "oss-mlops-platform/evidence/1"
_GENESIS = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Document:
    """One document and the text it was read from."""

    text: str
    body: dict[str, Any]

    @property
    def digest(self) -> str:
        """Return the digest of the text as it is."""
        return digest(self.text.encode())

    @property
    def number(self) -> int:
        """Return its place in the chain."""
        return int(self.body["number"])


def read(texts: Iterable[str]) -> list[Document]:
    """Return the documents by their numbers. Raises RetrieveError for a text that is none."""
    found = []
    for text in texts:
        try:
            body = parse_json(text.encode())
        except ExtractError as error:
            msg = f"a document of evidence cannot be read: {error}"
            raise RetrieveError(msg) from error
        number = body.get("number") if isinstance(body, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or body.get("format") != FORMAT:
            msg = f"a document has not the format {FORMAT}"
            raise RetrieveError(msg)
        found.append(Document(text, body))
    return sorted(found, key=lambda each: each.number)


def faults_of(documents: list[Document]) -> list[str]:
    """Return what is wrong with a chain, one line each."""
    return list(_faults(documents))


def _faults(documents: list[Document]) -> Iterator[str]:
    if not documents:
        yield "there is no document"
        return
    first, last = documents[0], documents[-1]
    begin = last.body.get("keptFrom", 1)
    if not isinstance(begin, int) or first.number > begin:
        yield f"document {first.number} is the first, wanted number {begin}"
    if first.number == 1 and first.body.get("previous") != _GENESIS:
        yield "document 1 names one before it"
    for document in documents:
        if canonical(document.body) != document.text:
            yield f"document {document.number} is not spelled canonically"
    for before, document in itertools.pairwise(documents):
        if document.number != before.number + 1:
            yield f"document {document.number} follows document {before.number}"
        elif document.body.get("previous") != before.digest:
            yield f"document {document.number} names another digest than document {before.number} has"


def instant(text: object) -> dt.datetime:
    """Return an instant with its time zone. Raises RetrieveError for anything else."""
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        msg = f"found {str(text)[:40]!r}, wanted an instant with its time zone"
        raise RetrieveError(msg)
    return found
