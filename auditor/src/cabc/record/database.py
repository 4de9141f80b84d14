"""The record in SQLite or PostgreSQL: append-only, hash-chained, its heads signed and anchored."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from sqlalchemy import URL, Connection, Engine, and_, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from cabc.errors import CabcError
from cabc.record import schema
from cabc.record.anchors import Anchors
from cabc.record.canonical import canonical_model, digest
from cabc.record.chain import GENESIS, IntegrityError, answers, check_draft, draft, links, owner, sign_head
from cabc.record.engines import (
    CONNECTIONS,
    advisory_lock,
    connect,
    migrate,
    reading,
    resolve_url,
    revision,
    writing,
)
from cabc.record.keys import Keys
from cabc.record.leases import hold
from cabc.record.reading import Reader
from cabc.record.schema import entries, evidence, heads, pending
from cabc.record.store import Draft
from cabc.record.types import Assessment, Collection, Entry, Evidence, Head, StoredDocument, Trigger

__all__ = ["DatabaseRecord", "RecordRole", "open_reader", "open_record"]

RecordRole = Literal["all", "collect", "assess", "publish", "read"]

_KEYS_PER_QUERY = 500
_BUFFERED_BYTES = 4_000_000
_CLOCK_SLACK = dt.timedelta(minutes=5)
"""A clock may be corrected by this much; further back it is refused."""


def open_record(
    url: str,
    *,
    keys: Path | Keys,
    anchors: Sequence[Path] = (),
    role: RecordRole = "all",
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    connections: int = CONNECTIONS,
) -> DatabaseRecord:
    """Open a record, made or brought up to date when this role may do that; heads that anchors lack are written.

    `read` changes nothing and needs no private key. On PostgreSQL only `all`, the owner, changes tables.
    """
    parsed = resolve_url(url)
    if parsed.get_backend_name() == "sqlite":
        _prepare_file(parsed, role)
    engine = connect(parsed, read_only=role == "read", connections=connections)
    try:
        _bring_up_to_date(engine, role)
    except BaseException:
        engine.dispose()
        raise
    record = DatabaseRecord(
        engine, keys if isinstance(keys, Keys) else Keys(keys), Anchors(anchors), role=role, clock=clock
    )
    if role != "read" and anchors:
        record.catch_up()
    return record


def _bring_up_to_date(engine: Engine, role: RecordRole) -> None:
    if role == "all" or (role != "read" and engine.dialect.name == "sqlite"):
        migrate(engine)
        return
    with reading(engine) as connection:
        found = revision(connection)
    if found != schema.REVISION:
        msg = f"the record has tables of revision {found or 'none'}, this version of cabc needs {schema.REVISION}"
        raise CabcError(msg, fix="run cabc migrate as the owner of the database")


def open_reader(url: str) -> Reader:
    """Open what is there, whatever state it is in, to look at it."""
    parsed = resolve_url(url)
    if parsed.get_backend_name() == "sqlite":
        _prepare_file(parsed, "read")
    return Reader(connect(parsed, read_only=True))


def _prepare_file(url: URL, role: RecordRole) -> None:
    if not url.database or url.database == ":memory:":
        raise CabcError("a record in memory would be lost", fix="name a file: sqlite:///record.db")
    file = Path(url.database)
    if role == "read" and not file.exists():
        msg = f"there is no record at {file}"
        raise CabcError(msg, fix="name the home folder with --home, or make a record with cabc assess")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))  # evidence is not for everybody


class DatabaseRecord(Reader):
    """The `Record` that is kept. Safe to use from many threads and processes at once."""

    def __init__(
        self, engine: Engine, keys: Keys, anchors: Anchors, *, role: RecordRole, clock: Callable[[], dt.datetime]
    ) -> None:
        super().__init__(engine)
        self.keys = keys
        self.role = role
        self._anchors = anchors
        self._clock = clock
        self._buffer: dict[str, bytes] = {}
        self._buffered = 0
        self._buffer_lock = threading.Lock()
        # SQLite's own waiting is not fair; threads of one process queue here.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    # Appending

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        for item in drafts:
            self.may_write(item.chain)
            check_draft(item)
        with self.appending() as transaction:
            return transaction.append(drafts)

    @contextmanager
    def appending(self) -> Iterator[Transaction]:
        """Append together with other changes of the database, all or nothing; anchors are written behind it."""
        with self._writing() as connection:
            transaction = Transaction(self, connection)
            yield transaction
        if transaction.signed:
            self._anchors.append(transaction.signed)

    def time_after(self, previous: Entry | None) -> dt.datetime:
        """Return the time of new entries: a chain never goes back in time."""
        now = self._clock().astimezone(dt.UTC)
        if previous is None or previous.at <= now:
            return now
        if previous.at - now > _CLOCK_SLACK:
            msg = f"the clock says {now:%Y-%m-%d %H:%M:%S}, but {previous.chain} was written {previous.at - now} later"
            raise CabcError(msg, fix="set this machine's clock; entries are not dated back")
        return previous.at

    def may_write(self, chain: str) -> None:
        if self.role not in {"all", owner(chain)}:
            msg = f"the role {self.role} does not write {chain}"
            raise CabcError(msg, fix="use the process or the token of the role that may")

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Write in one transaction, evidence that waits first: what refers to it comes with it or not at all."""
        with self._turn:
            with self._buffer_lock:
                waiting = dict(self._buffer)
            with writing(self.engine) as connection:
                if waiting:
                    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
                    again = dialect.insert(evidence).on_conflict_do_nothing()
                    connection.execute(again, [{"digest": name, "body": waiting[name]} for name in sorted(waiting)])
                yield connection
            with self._buffer_lock:
                for name in waiting:
                    self._buffer.pop(name, None)
                self._buffered = sum(map(len, self._buffer.values()))

    # Bytes

    def put_evidence(self, evidence: Evidence, body: bytes) -> None:
        """Keep bytes under their digest; they are on the disk after the next append, `flush` or `close`.

        Many small transactions would cost more than all the rest of a run.
        """
        if self.role == "read":
            self.may_write("evidence")
        if digest(body) != evidence.digest or len(body) != evidence.size:
            msg = f"evidence is not what its description says: {evidence.digest}, {evidence.size} bytes"
            raise IntegrityError(msg)
        with self._buffer_lock:
            if evidence.digest not in self._buffer:
                self._buffered += len(body)
            self._buffer[evidence.digest] = body
            full = self._buffered > _BUFFERED_BYTES
        if full:
            self.flush()

    def flush(self) -> None:
        """Write evidence that waits."""
        if self._buffer:
            with self._writing():
                pass

    def put_document(self, subject: str, text: bytes, path: str) -> str:
        name = digest(text)
        with self._buffer_lock:
            self._buffer[name] = text
        self.append([draft(StoredDocument(subject=subject, path=path, digest=name, size=len(text)))])
        return name

    def _blob(self, name: str) -> bytes | None:
        with self._buffer_lock:
            waiting = self._buffer.get(name)
        return super()._blob(name) if waiting is None else waiting

    # Running

    def lease(self, subject: str, purpose: str, *, seconds: float = 60.0) -> AbstractContextManager[None]:
        return hold(self.engine, subject, purpose, seconds=seconds)

    def catch_up(self) -> None:
        """Write the last heads that anchors lack."""
        chains = [chain for chain in self.chains() if self.role in {"all", owner(chain)}]
        self._anchors.catch_up([head for chain in chains if (head := self.head(chain))])

    def close(self) -> None:
        """Write what waits and let the database go."""
        self.flush()
        super().close()


class Transaction:
    """Appends within one transaction of a record."""

    def __init__(self, record: DatabaseRecord, connection: Connection) -> None:
        self._record = record
        self.connection = connection
        self.signed: list[Head] = []

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Continue the chains, sign their heads."""
        chains: dict[str, list[tuple[Draft, str]]] = {}
        for item in drafts:
            self._record.may_write(item.chain)
            check_draft(item)
            chains.setdefault(item.chain, []).append((item, canonical_model(item.body)))
        stored: dict[tuple[str, str, str], Entry] = {}
        for chain in sorted(chains):  # one order for all, so that nobody waits in a circle
            advisory_lock(self.connection, chain)
            known, new = self._extend(chain, chains[chain])
            stored.update({(entry.chain, entry.kind, entry.key): entry for entry in (*known, *new)})
            if new:
                head = sign_head(new[-1], self._record.keys)
                self.connection.execute(insert(heads), schema.head_row(head))
                self.signed.append(head)
                _queue(self.connection, new, {(item.kind, item.key): item.body for item, _ in reversed(chains[chain])})
        return [stored[item.chain, item.kind, item.key] for item in drafts]

    def _extend(self, chain: str, items: list[tuple[Draft, str]]) -> tuple[list[Entry], list[Entry]]:
        known = _known(self.connection, chain, [(item.kind, item.key) for item, _ in items])
        seen = {(entry.kind, entry.key) for entry in known}
        fresh: list[tuple[Draft, str]] = []
        for item, body in items:
            if (item.kind, item.key) not in seen:
                seen.add((item.kind, item.key))
                fresh.append((item, body))
        last = select(entries).where(entries.c.chain == chain).order_by(entries.c.seq.desc()).limit(1)
        row = self.connection.execute(last).first()
        previous = None if row is None else schema.entry_of(row)
        new = list(
            links(
                fresh,
                seq=previous.seq if previous else 0,
                previous=previous.hash if previous else GENESIS,
                at=self._record.time_after(previous),
            )
        )
        if new:
            self.connection.execute(insert(entries), [schema.entry_row(entry) for entry in new])
        return known, new


def _known(connection: Connection, chain: str, names: list[tuple[str, str]]) -> list[Entry]:
    """Return the entries of these kinds and keys that the chain has."""
    found: list[Entry] = []
    by_kind: dict[str, list[str]] = {}
    for kind, key in names:
        by_kind.setdefault(kind, []).append(key)
    for kind, keys in by_kind.items():
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            part = keys[start : start + _KEYS_PER_QUERY]
            own = and_(entries.c.kind == kind, entries.c.key.in_(part), entries.c.chain == chain)
            found += [schema.entry_of(row) for row in connection.execute(select(entries).where(own))]
    return found


def _queue(connection: Connection, new: Iterable[Entry], bodies: Mapping[tuple[str, str], object]) -> None:
    """Keep the list of what waits: new triggers and collections on it, what these answer off it."""
    for entry in new:
        if entry.kind in {"trigger", "collection"}:
            connection.execute(insert(pending), {"chain": entry.chain, "seq": entry.seq, "kind": entry.kind})
        body = bodies[entry.kind, entry.key]
        if isinstance(body, Collection):
            _answer_triggers(connection, entry.chain, body)
        elif isinstance(body, Assessment):
            collected = f"collect:{body.subject.name}"
            own = (entries.c.kind == "collection", entries.c.key == body.collection, entries.c.chain == collected)
            seq = select(entries.c.seq).where(*own).scalar_subquery()
            connection.execute(delete(pending).where(pending.c.chain == collected, pending.c.seq == seq))


def _answer_triggers(connection: Connection, chain: str, collection: Collection) -> None:
    own = (pending.c.chain == entries.c.chain) & (pending.c.seq == entries.c.seq)
    waiting = select(entries.c.seq, entries.c.body).join(pending, own)
    for seq, body in connection.execute(waiting.where(pending.c.chain == chain, pending.c.kind == "trigger")).all():
        if body is not None and answers(collection, Trigger.model_validate_json(body)):
            connection.execute(delete(pending).where(pending.c.chain == chain, pending.c.seq == seq))
