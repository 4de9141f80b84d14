"""The chain of evidence as the interface reads it: whatever is wrong with it is no value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from cabc.interfaces.base import ExtractError, RetrieveError
from cabc.interfaces.structured import parse_json

from cabc_platform import documents
from cabc_platform.documents import FORMAT, Document

__all__ = ["FORMAT", "Document", "faults_of", "instant", "read"]


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
        found.append(Document(text))
    return sorted(found, key=lambda each: each.number)


def faults_of(found: list[Document]) -> list[str]:
    """Return what is wrong with a chain, one line each."""
    return [str(fault) for fault in documents.verify(found)] if found else ["there is no document"]


def instant(text: object) -> dt.datetime:
    """Return an instant with its time zone. Raises RetrieveError for anything else."""
    try:
        return documents.instant(str(text))
    except ValueError as error:
        msg = f"found {str(text)[:40]!r}, wanted an instant with its time zone"
        raise RetrieveError(msg) from error
