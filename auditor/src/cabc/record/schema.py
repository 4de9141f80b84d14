"""The tables. `migrations/` brings a database here; a test holds the two together."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Row, String, Table, Text

from cabc.record.types import Entry, Head

__all__ = [
    "REVISION",
    "entries",
    "entry_of",
    "entry_row",
    "evidence",
    "head_of",
    "head_row",
    "heads",
    "leases",
    "metadata",
    "micros",
    "pending",
]

REVISION = "0001"
"""The migration that makes these tables."""

metadata = MetaData()

entries = Table(
    "entries",
    metadata,
    Column("chain", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("parent", String),
    Column("at", BigInteger, nullable=False),  # microseconds since 1970: one spelling, sorted, the same everywhere
    Column("body_digest", String, nullable=False),
    Column("body", Text),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
    Index("entries_key", "kind", "key", "chain", unique=True),
    Index("entries_latest", "chain", "kind", "seq"),
    Index("entries_parent", "kind", "parent", "seq"),
)

heads = Table(
    "heads",
    metadata,
    Column("chain", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("key_id", String, nullable=False),
    Column("signature", String, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("digest", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# What waits for an answer: triggers for a collection, collections for an assessment. It follows from the entries, and
# `verify` compares; kept so that finding what waits never reads the history.
pending = Table(
    "pending",
    metadata,
    Column("chain", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
)

# Who works on what right now. No part of the record.
leases = Table(
    "leases",
    metadata,
    Column("subject", String, primary_key=True),
    Column("purpose", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires", BigInteger, nullable=False),
)

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def micros(at: dt.datetime) -> int:
    """Return an instant as the tables keep it."""
    return (at - _EPOCH) // _MICROSECOND


def entry_row(entry: Entry) -> dict[str, object]:
    """Return an entry as the table keeps it."""
    return {
        "chain": entry.chain,
        "seq": entry.seq,
        "kind": entry.kind,
        "key": entry.key,
        "parent": entry.parent,
        "at": micros(entry.at),
        "body_digest": entry.body_digest,
        "body": entry.body,
        "previous": entry.previous,
        "hash": entry.hash,
    }


def entry_of(row: Row[Any]) -> Entry:
    """Return the entry in a row of the table; ValueError when it cannot be one."""
    return Entry.model_validate(_with_instant(row))


def head_row(head: Head) -> dict[str, object]:
    """Return a signed head as the table keeps it."""
    return {**head.model_dump(by_alias=False), "at": micros(head.at)}


def head_of(row: Row[Any]) -> Head:
    """Return the signed head in a row of the table; ValueError when it cannot be one."""
    return Head.model_validate(_with_instant(row))


def _with_instant(row: Row[Any]) -> dict[str, object]:
    fields = dict[str, object](row._mapping)  # noqa: SLF001 (SQLAlchemy's public name for it)
    at = fields["at"]
    if not isinstance(at, int):
        msg = f"at: found {at!r}, wanted microseconds as an integer"
        raise ValueError(msg)  # noqa: TRY004 (one error for rows that are wrong)
    try:
        fields["at"] = _EPOCH + dt.timedelta(microseconds=at)
    except OverflowError as error:
        msg = f"at: found {at!r}, which no calendar has"
        raise ValueError(msg) from error
    return fields
