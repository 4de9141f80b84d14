"""Dropping what a policy no longer keeps: bodies go, hashes stay, and a signed entry says what went and why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing

from sqlalchemy import Connection, delete, select, update

from cabc.document.durations import parse_duration
from cabc.errors import CabcError
from cabc.record.chain import draft
from cabc.record.checks.chains import named_digests
from cabc.record.database import DatabaseRecord
from cabc.record.schema import entries, evidence, micros
from cabc.record.store import RunBusyError
from cabc.record.types import Assessment, Collection, DroppedBodies, RetentionRecord

__all__ = ["plan_retention", "retain"]

_DIGESTS_PER_QUERY = 500
_LEASE = 600.0


def plan_retention(
    record: DatabaseRecord, *, evidence: str | None, observations: str | None, now: dt.datetime
) -> RetentionRecord:
    """Return what policies (ISO 8601 durations) would drop now.

    Never dropped: the latest assessment of a subject and its evidence, the pinned baseline's observations, documents.
    """
    rules = [f"{what} {age}" for what, age in (("evidence", evidence), ("observations", observations)) if age]
    evidence_before = now - parse_duration(evidence) if evidence else None
    observations_before = now - parse_duration(observations) if observations else None
    with record.engine.connect() as connection:
        return RetentionRecord(
            id=f"r{now:%Y%m%dT%H%M%S%fZ}",
            at=now,
            reason=f"retention policy: {', '.join(rules) or 'keep all'}",
            evidence_before=evidence_before,
            observations_before=observations_before,
            evidence=_old_evidence(connection, record, evidence_before) if evidence_before else [],
            bodies=list(_old_bodies(connection, record, observations_before)) if observations_before else [],
        )


def retain(
    record: DatabaseRecord, *, evidence: str | None, observations: str | None, now: dt.datetime
) -> RetentionRecord | None:
    """Drop what the policies no longer keep; None when there is nothing. No subject is collected meanwhile."""
    if record.role != "all":
        raise CabcError("only the owner of the record drops anything", fix="run it with the owner's database URL")
    with ExitStack() as held:
        try:
            for subject in record.subjects():
                held.enter_context(record.lease(subject, "collect", seconds=_LEASE))
        except RunBusyError as error:
            raise CabcError(str(error), fix="try again when its run has ended") from None
        record.flush()
        planned = plan_retention(record, evidence=evidence, observations=observations, now=now)
        if not planned.evidence and not planned.bodies:
            return None
        with record.appending() as transaction:
            transaction.append([draft(planned)])
            _drop(transaction.connection, planned)
    if record.engine.dialect.name == "sqlite":
        with closing(record.engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what was dropped must not live on in the log
    return planned


def _drop(connection: Connection, planned: RetentionRecord) -> None:
    for start in range(0, len(planned.evidence), _DIGESTS_PER_QUERY):
        part = planned.evidence[start : start + _DIGESTS_PER_QUERY]
        connection.execute(delete(evidence).where(evidence.c.digest.in_(part)))
    for gone in planned.bodies:
        own = (entries.c.chain == gone.chain) & (entries.c.kind == gone.kind)
        connection.execute(
            update(entries).where(own, entries.c.seq.between(gone.first, gone.through)).values(body=None)
        )


def _old_evidence(connection: Connection, record: DatabaseRecord, before: dt.datetime) -> list[str]:
    """Return digests that only old collections and attestations name, and that are still stored."""
    old: set[str] = set()
    kept: set[str] = set()
    for subject in record.subjects():
        latest = record.assessments(subject, limit=1)
        for body in _bodies(connection, f"collect:{subject}", "collection"):
            collection = Collection.model_validate_json(body)
            current = not latest or collection.id == latest[0].collection or collection.ended >= before
            (kept if current else old).update(named_digests(collection))
        for waiting in record.pending_collections(subject):
            kept.update(named_digests(waiting))
        for attestation in record.attestations(subject):
            (kept if attestation.valid_until >= before else old).update(attestation.evidence)
        kept.update(body.specification for body in _assessments(connection, subject))
        kept.update(_documents(connection, subject))
    return [name for name in sorted(old - kept) if _stored(connection, name)]


def _stored(connection: Connection, name: str) -> bool:
    return connection.execute(select(evidence.c.digest).where(evidence.c.digest == name)).first() is not None


def _bodies(connection: Connection, chain: str, kind: str) -> Iterator[str]:
    query = select(entries.c.body).where(entries.c.chain == chain, entries.c.kind == kind, entries.c.body.is_not(None))
    yield from connection.execution_options(yield_per=50).scalars(query.order_by(entries.c.seq))


def _assessments(connection: Connection, subject: str) -> Iterator[Assessment]:
    yield from map(Assessment.model_validate_json, _bodies(connection, f"assess:{subject}", "assessment"))


def _documents(connection: Connection, subject: str) -> Iterable[str]:
    own = (entries.c.chain == f"collect:{subject}") & (entries.c.kind == "document")
    return connection.scalars(select(entries.c.key).where(own)).all()


def _old_bodies(connection: Connection, record: DatabaseRecord, before: dt.datetime) -> Iterator[DroppedBodies]:
    """Give the ranges of observations that are old; what is kept between two ends the first."""
    for subject in record.subjects():
        latest = record.assessments(subject, limit=1)
        pin = record.baseline(subject)
        keep = {each.id for each in latest} | ({pin.assessment} if pin else set())
        chain = f"assess:{subject}"
        own = (entries.c.chain == chain) & (entries.c.kind == "observation")
        columns = (entries.c.seq, entries.c.parent, entries.c.at, entries.c.body.is_not(None).label("whole"))
        first, last, count = 0, 0, 0
        for row in connection.execute(select(*columns).where(own).order_by(entries.c.seq)):
            if row.at < micros(before) and row.parent not in keep:
                first, last, count = first or row.seq, row.seq, count + bool(row.whole)
            else:
                if count:
                    yield DroppedBodies(chain=chain, kind="observation", first=first, through=last, count=count)
                first, last, count = 0, 0, 0
        if count:
            yield DroppedBodies(chain=chain, kind="observation", first=first, through=last, count=count)
