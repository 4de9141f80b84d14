"""The record as the rest of the program uses it. `cabc.record.database` is the one that keeps it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from cabc.document.base import Model
from cabc.record.types import (
    Assessment,
    Attestation,
    BaselinePin,
    Collection,
    Entry,
    Evidence,
    Finding,
    Observation,
    Publication,
    Status,
    StatusRecord,
    Trigger,
    Waiver,
)

__all__ = ["Draft", "Record", "RecordReader", "RunBusyError"]

M = TypeVar("M", bound=Model)


class Draft(Model):
    """Something to append: its chain, kind, key, parent follow from its type."""

    chain: str
    kind: str
    key: str
    parent: str | None = None
    body: Model


class RunBusyError(Exception):
    """Another process works on this subject and its lease has not expired."""


class RecordReader(Protocol):
    """What can be asked: of the record, or of an archive."""

    def evidence_body(self, digest: str) -> bytes | None:
        """Return the bytes, None when retention dropped them. Raises IntegrityError when they do not match."""
        ...

    def document(self, digest: str) -> bytes | None:
        """Return the text of a specification."""
        ...

    def subjects(self) -> list[str]: ...

    def collection(self, id_: str) -> Collection | None: ...

    def pending_collections(self, subject: str) -> list[Collection]:
        """Return collections without an assessment, oldest first."""
        ...

    def assessment(self, id_: str) -> Assessment | None: ...

    def assessments(self, subject: str, *, limit: int = 50, before: str | None = None) -> list[Assessment]:
        """Return the latest first; `before` is the id where the last page ended. Time does not depend on history."""
        ...

    def observations(self, assessment: str) -> Iterator[Observation]: ...

    def findings(self, assessment: str) -> list[Finding]: ...

    def status(self, subject: str) -> StatusRecord | None: ...

    def history(self, subject: str, *, limit: int = 200) -> list[StatusRecord]:
        """Return the latest first."""
        ...

    def waivers(self, subject: str) -> list[Waiver]: ...

    def attestations(self, subject: str) -> list[Attestation]: ...

    def baseline(self, subject: str) -> BaselinePin | None:
        """Return the pin that holds."""
        ...

    def triggers(self, subject: str, *, pending: bool = True) -> list[Trigger]:
        """Return triggers that no collection answered yet, or all."""
        ...

    def publications(self, subject: str, *, limit: int = 10) -> list[Publication]: ...

    def entries(self, chain: str, *, after: int = 0) -> Iterable[Entry]: ...

    def current(self, at: dt.datetime) -> dict[str, Status]:
        """Return the status of every subject at an instant."""
        ...


class Record(RecordReader, Protocol):
    """Append-only, hash-chained, signed. Synchronous; the engine calls it from a thread where it must not block."""

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Append all or nothing, in one transaction; sign and anchor the heads.

        A (chain, kind, key) that is there already is left alone and returned: doing it again changes nothing.
        """
        ...

    def put_evidence(self, evidence: Evidence, body: bytes) -> None:
        """Keep bytes under their digest; again is no change."""
        ...

    def put_document(self, subject: str, text: bytes, path: str) -> str:
        """Keep a specification (or nested one) under its digest and return that."""
        ...

    def lease(self, subject: str, purpose: str, *, seconds: float = 60.0) -> AbstractContextManager[None]:
        """Hold the subject for one run, renewed while held; RunBusyError when somebody else does."""
        ...
