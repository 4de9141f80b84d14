"""One run at a time per subject: a lease in the database, renewed while held, taken over once it has expired."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from cabc.errors import CabcError
from cabc.record.engines import reading, writing
from cabc.record.schema import leases
from cabc.record.store import RunBusyError

__all__ = ["hold", "is_held"]

_LOG = logging.getLogger(__name__)


@contextmanager
def hold(engine: Engine, subject: str, purpose: str, *, seconds: float) -> Iterator[None]:
    """Hold a subject for a purpose; RunBusyError when somebody else does."""
    holder = uuid.uuid4().hex
    length = int(seconds * 1_000_000)
    if not _take(engine, subject, purpose, holder, length):
        msg = f"another process works on {subject} ({purpose})"
        raise RunBusyError(msg)
    done = threading.Event()
    renewal = threading.Thread(
        target=_renew, args=(engine, holder, length, done), name=f"lease of {subject} ({purpose})", daemon=True
    )
    renewal.start()
    try:
        yield
    finally:
        done.set()
        renewal.join()
        with writing(engine) as connection:
            connection.execute(delete(leases).where(leases.c.holder == holder))


def is_held(engine: Engine, subject: str, purpose: str) -> bool:
    """Tell whether anybody holds a subject for a purpose now."""
    with reading(engine) as connection:
        own = (leases.c.subject == subject) & (leases.c.purpose == purpose)
        expires = connection.execute(select(leases.c.expires).where(own)).scalar()
        return expires is not None and expires >= _now(connection)


def _take(engine: Engine, subject: str, purpose: str, holder: str, length: int) -> bool:
    with writing(engine) as connection:
        now = _now(connection)
        values = {"subject": subject, "purpose": purpose, "holder": holder, "expires": now + length}
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        free = dialect.insert(leases).values(values)
        connection.execute(
            free.on_conflict_do_update(
                index_elements=["subject", "purpose"],
                set_={"holder": holder, "expires": now + length},
                where=leases.c.expires < now,
            )
        )
        own = (leases.c.subject == subject) & (leases.c.purpose == purpose)
        return connection.execute(select(leases.c.holder).where(own)).scalar() == holder


def _renew(engine: Engine, holder: str, length: int, done: threading.Event) -> None:
    """Move the end three times per lease; a database that is away for a moment is asked again."""
    while not done.wait(length / 3_000_000):
        try:
            with writing(engine) as connection:
                own = update(leases).where(leases.c.holder == holder)
                kept = connection.execute(own.values(expires=_now(connection) + length)).rowcount == 1
        except CabcError as error:
            _LOG.warning("%s cannot be renewed: %s", threading.current_thread().name, error)
            continue
        if not kept:
            _LOG.warning("%s expired and somebody else took it", threading.current_thread().name)
            return


def _now(connection: Connection) -> int:
    """Return microseconds by the clock that all holders share."""
    if connection.dialect.name == "postgresql":
        shared = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(connection.execute(shared).scalar_one())
    return time.time_ns() // 1000
