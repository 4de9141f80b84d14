"""The reading half of the record, over its tables: the database's, or those of an opened archive."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Engine, Select, func, select

from cabc.document.base import Model
from cabc.record import schema
from cabc.record.canonical import digest
from cabc.record.chain import KINDS, IntegrityError, subject_of
from cabc.record.engines import reading
from cabc.record.schema import entries, evidence, heads, pending
from cabc.record.types import (
    Assessment,
    Attestation,
    BaselinePin,
    Collection,
    Entry,
    Finding,
    Head,
    Observation,
    Publication,
    Status,
    StatusRecord,
    Trigger,
    Waiver,
)

__all__ = ["Reader"]

M = TypeVar("M", bound=Model)

_PAGE = 500


class Reader:
    """Answers every question through an index; nothing reads the whole history."""

    def __init__(self, engine: Engine, *, until: tuple[str, int] | None = None) -> None:
        self.engine = engine
        self._until = until

    def before(self, assessment: Assessment) -> Reader:
        """Return the record as this assessment found it: its chain ends where the assessment begins."""
        chain = f"assess:{assessment.subject.name}"
        parts = entries.c.kind.in_(("observation", "finding")) & (entries.c.parent == assessment.id)
        own = (entries.c.kind == "assessment") & (entries.c.key == assessment.id)
        with reading(self.engine) as connection:
            firsts = [
                connection.execute(select(func.min(entries.c.seq)).where(entries.c.chain == chain, which)).scalar()
                for which in (parts, own)
            ]
        return Reader(self.engine, until=(chain, min(seq for seq in (*firsts, 2**62) if seq is not None)))

    def close(self) -> None:
        """Let the database go."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Runs

    def subjects(self) -> list[str]:
        return sorted({name for chain in self.chains() if (name := subject_of(chain))})

    def collection(self, id_: str) -> Collection | None:
        return self._one(Collection, _named("collection", id_))

    def pending_collections(self, subject: str) -> list[Collection]:
        return self._many(Collection, _waiting(f"collect:{subject}", "collection"))

    def assessment(self, id_: str) -> Assessment | None:
        return self._one(Assessment, _named("assessment", id_))

    def assessments(self, subject: str, *, limit: int = 50, before: str | None = None) -> list[Assessment]:
        query = _latest(f"assess:{subject}", "assessment").limit(limit)
        if before is not None:
            named = (entries.c.kind == "assessment") & (entries.c.key == before)
            query = query.where(
                entries.c.seq
                < select(entries.c.seq).where(named, entries.c.chain == f"assess:{subject}").scalar_subquery()
            )
        return self._many(Assessment, query)

    def observations(self, assessment: str) -> Iterator[Observation]:
        return iter(self._many(Observation, _children("observation", assessment)))

    def findings(self, assessment: str) -> list[Finding]:
        return self._many(Finding, _children("finding", assessment))

    # Status

    def status(self, subject: str) -> StatusRecord | None:
        return self._one(StatusRecord, _latest(f"assess:{subject}", "statusrecord"))

    def history(self, subject: str, *, limit: int = 200) -> list[StatusRecord]:
        return self._many(StatusRecord, _latest(f"assess:{subject}", "statusrecord").limit(limit))

    def current(self, at: dt.datetime) -> dict[str, Status]:
        found = {}
        for subject in self.subjects():
            if record := self._status_at(subject, at):
                found[subject] = record.status
        return found

    def _status_at(self, subject: str, at: dt.datetime) -> StatusRecord | None:
        """Go back from the latest until one began before the instant."""
        query = _latest(f"assess:{subject}", "statusrecord")
        below: int | None = None
        size = 1
        while True:
            page = query if below is None else query.where(entries.c.seq < below)
            found = self._bodies(page.limit(size))
            for seq, body in found:
                below = seq
                if body is not None and (record := StatusRecord.model_validate_json(body)).since <= at:
                    return record
            if len(found) < size:
                return None
            size = _PAGE

    # What people and the world said

    def waivers(self, subject: str) -> list[Waiver]:
        return self._many(Waiver, _all(f"assess:{subject}", "waiver"))

    def attestations(self, subject: str) -> list[Attestation]:
        return self._many(Attestation, _all(f"assess:{subject}", "attestation"))

    def baseline(self, subject: str) -> BaselinePin | None:
        return self._one(BaselinePin, _latest(f"assess:{subject}", "baselinepin"))

    def triggers(self, subject: str, *, pending: bool = True) -> list[Trigger]:
        chain = f"collect:{subject}"
        return self._many(Trigger, _waiting(chain, "trigger") if pending else _all(chain, "trigger"))

    def publications(self, subject: str, *, limit: int = 10) -> list[Publication]:
        return self._many(Publication, _latest(f"publish:{subject}", "publication").limit(limit))

    # Bytes

    def evidence_body(self, digest: str) -> bytes | None:
        return self._blob(digest)

    def document(self, digest: str) -> bytes | None:
        return self._blob(digest)

    def _blob(self, name: str) -> bytes | None:
        with reading(self.engine) as connection:
            body = connection.execute(select(evidence.c.body).where(evidence.c.digest == name)).scalar()
        if body is None:
            return None
        if not isinstance(body, bytes) or digest(body) != name:
            msg = f"evidence {name} does not have this digest"
            raise IntegrityError(msg, fix="run cabc verify; restore the record from a backup")
        return body

    # The chains themselves

    def chains(self) -> list[str]:
        """Return the names of all chains."""
        found: list[str] = []
        with reading(self.engine) as connection:
            query = select(entries.c.chain).order_by(entries.c.chain).limit(1)
            chain = connection.execute(query).scalar()
            while chain is not None:
                found.append(chain)
                chain = connection.execute(query.where(entries.c.chain > chain)).scalar()
        return found

    def entries(self, chain: str, *, after: int = 0) -> Iterable[Entry]:
        query = select(entries).where(entries.c.chain == chain).order_by(entries.c.seq).limit(_PAGE)
        while True:
            with reading(self.engine) as connection:
                page = [schema.entry_of(row) for row in connection.execute(query.where(entries.c.seq > after))]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    def heads(self, chain: str) -> list[Head]:
        """Return the signed heads of a chain, oldest first."""
        query = select(heads).where(heads.c.chain == chain).order_by(heads.c.seq)
        with reading(self.engine) as connection:
            return [schema.head_of(row) for row in connection.execute(query)]

    def head(self, chain: str) -> Head | None:
        """Return the last signed head of a chain."""
        query = select(heads).where(heads.c.chain == chain).order_by(heads.c.seq.desc()).limit(1)
        with reading(self.engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else schema.head_of(row)

    def kept(self, kind: str, key: str) -> Model | None:
        """Return the body of any entry by its kind and key."""
        return self._one(KINDS[kind][0], _named(kind, key))

    def has(self, kind: str, key: str) -> bool:
        """Tell whether there is such an entry, with its body or without."""
        return bool(self._bodies(_named(kind, key).limit(1)))

    def parts(self, assessment: str) -> list[tuple[str, str]]:
        """Return kind and key of an assessment's observations and findings."""
        columns = select(entries.c.kind, entries.c.key)
        own = entries.c.kind.in_(("observation", "finding")) & (entries.c.parent == assessment)
        with reading(self.engine) as connection:
            return [(kind, key) for kind, key in connection.execute(columns.where(own).order_by(entries.c.seq))]

    # Shared

    def _bodies(self, query: Select[Any]) -> list[tuple[int, str | None]]:
        if self._until is not None:
            chain, end = self._until
            query = query.where((entries.c.chain != chain) | (entries.c.seq < end))
        with reading(self.engine) as connection:
            return [(seq, body) for seq, body in connection.execute(query)]

    def _one(self, type_: type[M], query: Select[Any]) -> M | None:
        return next(iter(self._many(type_, query.limit(1))), None)

    def _many(self, type_: type[M], query: Select[Any]) -> list[M]:
        return [type_.model_validate_json(body) for _, body in self._bodies(query) if body is not None]


def _kind(kind: str) -> Select[Any]:
    return select(entries.c.seq, entries.c.body).where(entries.c.kind == kind)


def _named(kind: str, key: str) -> Select[Any]:
    return _kind(kind).where(entries.c.key == key, entries.c.chain.startswith(KINDS[kind][1], autoescape=True))


def _children(kind: str, parent: str) -> Select[Any]:
    own = entries.c.chain.startswith(KINDS[kind][1], autoescape=True)
    return _kind(kind).where(entries.c.parent == parent, own).order_by(entries.c.seq)


def _all(chain: str, kind: str) -> Select[Any]:
    return _kind(kind).where(entries.c.chain == chain).order_by(entries.c.seq)


def _latest(chain: str, kind: str) -> Select[Any]:
    return _kind(kind).where(entries.c.chain == chain).order_by(entries.c.seq.desc())


def _waiting(chain: str, kind: str) -> Select[Any]:
    own = (pending.c.chain == entries.c.chain) & (pending.c.seq == entries.c.seq)
    return (
        select(entries.c.seq, entries.c.body)
        .join(pending, own)
        .where(pending.c.chain == chain, pending.c.kind == kind)
        .order_by(entries.c.seq)
    )
