"""The next document of evidence. What a document and its chain are is stated where the auditor reads them too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cabc_platform.documents import FORMAT, GENESIS, Document, canonical

from mlops.errors import OperationError

__all__ = ["KEPT", "LARGEST", "following"]

KEPT = 200
"""Documents that stay in the cluster; a file keeps all that it ever had."""

LARGEST = 128 * 1024
"""Bytes of one document. Its lists are bounded, so only names of absurd length get there."""


def following(chain: Sequence[Document], kind: str, facts: Mapping[str, Any]) -> Document:
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
    return Document(text)
