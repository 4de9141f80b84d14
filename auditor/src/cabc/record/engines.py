"""Opening the database: SQLite with its pragmas, PostgreSQL through psycopg, and bringing either up to date."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from cabc.errors import CabcError
from cabc.record.schema import REVISION

__all__ = [
    "CONNECTIONS",
    "advisory_lock",
    "connect",
    "database_errors",
    "migrate",
    "reading",
    "resolve_url",
    "revision",
    "writing",
]

_BUSY_SECONDS = 60

CONNECTIONS = 12
"""To a PostgreSQL server, of one process, at most."""

_KEPT = 4
"""Connections that stay open while nobody needs them."""


def resolve_url(url: str) -> URL:
    """Read a database URL, itself or from `env:NAME` or `file:PATH`; CabcError that never repeats its password."""
    source, _, name = url.partition(":")
    if source == "env":
        if not (url := os.environ.get(name, "")):
            msg = f"environment variable {name}, which should hold the database URL, is not set"
            raise CabcError(msg)
    elif source == "file":
        try:
            url = Path(name).read_text().strip()
        except OSError as error:
            msg = f"{name}, which should hold the database URL, cannot be read: {error.strerror}"
            raise CabcError(msg) from None
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise CabcError("the database URL cannot be read", fix="write sqlite:///record.db or postgresql://…") from None
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        msg = f"the record cannot be kept in {parsed.get_backend_name()!r}"
        raise CabcError(msg, fix="use sqlite:///record.db or postgresql://…")
    return parsed


def connect(url: URL, *, read_only: bool = False, connections: int = CONNECTIONS) -> Engine:
    """Return an engine whose transactions begin as they must."""
    try:
        if url.get_backend_name() != "sqlite":
            kept = min(_KEPT, connections)
            pool = {"pool_size": kept, "max_overflow": connections - kept, "pool_timeout": _BUSY_SECONDS}
            return create_engine(url, pool_pre_ping=True, **pool)
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})
    except (NoSuchModuleError, ArgumentError) as error:
        msg = f"the database cannot be used: {error}"
        raise CabcError(msg) from None

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions are begun below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
            # Bytes that are no text reach the check of their row instead of ending the query.
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("cabc_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn what the database refuses into one line without its URL."""
    try:
        yield
    except DBAPIError as error:
        line = str(error.orig).strip().splitlines()
        msg = f"the database refuses: {line[0] if line else type(error.orig).__name__}"
        raise CabcError(msg, fix="see that it is reachable, not locked, and that this role may do it") from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Read in one transaction, so that what is seen fits together."""
    with database_errors(), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901 (the same one)
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Write all or nothing; on SQLite nobody else writes meanwhile."""
    with (
        database_errors(),
        engine.connect().execution_options(cabc_write=True) as connection,
        connection.begin(),
    ):
        yield connection


def advisory_lock(connection: Connection, name: str) -> None:
    """Hold a name until the transaction ends; SQLite's transaction holds everything anyway."""
    if connection.dialect.name == "postgresql":
        key = int.from_bytes(hashlib.sha256(f"cabc:{name}".encode()).digest()[:8], signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def revision(connection: Connection) -> str | None:
    """Return the migration that the database has; None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def migrate(engine: Engine) -> None:
    """Bring the tables up to date; of several processes one does it. Quick when there is nothing to do."""
    with reading(engine) as connection:
        if revision(connection) == REVISION:
            return
    with writing(engine) as connection:
        advisory_lock(connection, "migrate")
        if (found := revision(connection)) == REVISION:
            return
        _upgrade(connection, found)


def _upgrade(connection: Connection, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "cabc.record:migrations")
    config.set_main_option("path_separator", "os")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        msg = f"the record has tables of a newer version of cabc (revision {found})"
        raise CabcError(msg, fix="install that version of cabc, or a later one")
    command.upgrade(config, REVISION)
