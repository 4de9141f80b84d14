"""PostgreSQL and SQLite, opened so that one query can be answered and nothing else can happen."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from cabc.interfaces.addresses import refusal
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.connections import SqlConnection, reveal
from cabc.interfaces.lanes import lane
from cabc.text import one_line

__all__ = ["ask"]

Table = tuple[list[str], list[tuple[Any, ...]]]


def ask(query: str, parameters: Mapping[str, Any], connection: SqlConnection) -> Table:
    """Return the columns' names and at most two rows; RetrieveError for whatever the database refuses."""
    try:
        url = sa.make_url(reveal(connection.url) if connection.url.startswith(("env:", "file:")) else connection.url)
    except sa.exc.ArgumentError as error:
        msg = "the connection's address is none of SQLAlchemy's"
        raise RetrieveError(msg) from error
    if connection.password:
        url = url.set(password=reveal(connection.password))
    kinds: dict[str, tuple[Callable[[sa.URL, SqlConnection], sa.Engine], Callable[..., Table]]] = {
        "postgresql": (_postgresql, _ask_postgresql),
        "sqlite": (_sqlite, _ask_sqlite),
    }
    if url.get_backend_name() not in kinds:
        msg = f"databases of the kind {url.get_backend_name()!r} cannot be read safely; use PostgreSQL or SQLite"
        raise RetrieveError(msg)
    # In a SELECT of ours nothing but a query can stand; the line break ends a comment.
    nested = f"SELECT * FROM (\n{query.strip().rstrip(';')}\n) AS answer LIMIT 2"  # noqa: S608 (the database refuses writes)
    names = set(sa.text(nested).compile().params)
    if names != set(parameters):
        wanted, given = ", ".join(sorted(names)) or "none", ", ".join(sorted(parameters)) or "none"
        msg = (
            f"the query has the parameters {wanted}; given are {given} (write \\: for a colon that begins no parameter)"
        )
        raise RetrieveError(msg)
    make, run = kinds[url.get_backend_name()]
    engine = make(url, connection)
    try:
        with (
            lane(url.render_as_string(), connection.max_concurrent, connection.timeout),
            engine.connect() as database,
        ):
            return run(database, nested, parameters, connection)
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error)
        if url.password:
            reason = reason.replace(str(url.password), "…")
        msg = f"the query failed: {one_line(reason)}"
        raise RetrieveError(msg) from error
    finally:
        engine.dispose()


def _postgresql(url: sa.URL, connection: SqlConnection) -> sa.Engine:
    limit = max(1, int(connection.timeout * 1000))
    arguments: dict[str, Any] = {
        "options": f"-c default_transaction_read_only=on -c statement_timeout={limit} -c lock_timeout={limit}",
        "prepare_threshold": 0,  # the protocol of prepared statements takes one statement at a time
        "connect_timeout": max(2, int(connection.timeout)),
        "application_name": "cabc",
        "passfile": "/dev/null/none",  # nothing of the user's; a file that is there but not plain brings a warning
    }
    if url.host and not url.host.startswith("/"):
        arguments["hostaddr"] = _resolved(url.host, url.port or 5432, connection)
    return sa.create_engine(url.set(drivername="postgresql+psycopg"), poolclass=sa.NullPool, connect_args=arguments)


def _resolved(host: str, port: int, connection: SqlConnection) -> str:
    """Return the one address that is dialled, judged like that of any other connection."""
    try:
        found = [str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError as error:
        msg = "the host's name has no address"
        raise RetrieveError(msg) from error
    for address in found:
        if why := refusal(address, connection.network):
            msg = f"refused: the host is {why}"
            raise RetrieveError(msg)
    return found[0]


def _ask_postgresql(
    database: sa.Connection, query: str, parameters: Mapping[str, Any], connection: SqlConnection
) -> Table:
    _harmless(database)
    shape = database.execute(sa.text(query.removesuffix("2") + "0"), parameters)
    columns = list(shape.keys())
    if len(columns) != 1:
        return columns, []
    name = database.dialect.identifier_preparer.quote(columns[0]).replace(":", r"\:")
    sized = f"SELECT octet_length({name}::text) FROM ({query}) AS sized"  # noqa: S608 (read-only, as above)
    if sum(row[0] or 0 for row in database.execute(sa.text(sized), parameters)) > connection.max_bytes:
        msg = f"the value is larger than {connection.max_bytes} bytes (the connection's limit)"
        raise RetrieveError(msg)
    return columns, [tuple(row) for row in database.execute(sa.text(query), parameters).fetchmany(2)]


def _harmless(database: sa.Connection) -> None:
    """Refuse a role that reads files or runs programs on the server: read-only would not stop it.

    As the first query of the transaction it also takes away the chance to make the transaction read-write.
    """
    found = database.execute(
        sa.text(
            "SELECT rolsuper OR pg_has_role(current_user, 'pg_read_server_files', 'MEMBER')"
            " OR pg_has_role(current_user, 'pg_write_server_files', 'MEMBER')"
            " OR pg_has_role(current_user, 'pg_execute_server_program', 'MEMBER')"
            " FROM pg_roles WHERE rolname = current_user"
        )
    ).scalar_one()
    if found:
        msg = "the database role is a superuser or may read files of the server; use a role that may only SELECT"
        raise RetrieveError(msg)


_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_TRANSACTION})
_DENIED = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})


def _authorize(action: int, _first: str | None, second: str | None, _database: str | None, _by: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _DENIED):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _sqlite(url: sa.URL, connection: SqlConnection) -> sa.Engine:
    if not url.database or url.database.startswith((":memory:", "file:")):
        msg = "a SQLite connection needs the path of a file"
        raise RetrieveError(msg)
    address = f"file:{quote(url.database)}?mode=ro"
    end = time.monotonic() + connection.timeout

    def connect() -> sqlite3.Connection:
        database = sqlite3.connect(address, uri=True, timeout=connection.timeout, check_same_thread=False)
        database.execute("PRAGMA query_only = ON")
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, connection.max_bytes)
        database.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 20_000)
        database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        database.set_progress_handler(lambda: int(time.monotonic() > end), 10_000)
        return database

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)


def _ask_sqlite(database: sa.Connection, query: str, parameters: Mapping[str, Any], _: SqlConnection) -> Table:
    driver: sqlite3.Connection = database.connection.driver_connection  # type: ignore[assignment]  # the driver's own
    driver.set_authorizer(_authorize)  # SQLAlchemy has asked what it needs to know
    answer = database.execute(sa.text(query), parameters)
    return list(answer.keys()), [tuple(row) for row in answer.fetchmany(2)]
