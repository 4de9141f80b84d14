"""SQL injection and abuse: a document's query tries to write, to read files, to run for ever, to be two statements."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cabc.document.interfaces import SqlInterface
from cabc.interfaces.base import RetrieveError, Value
from cabc.interfaces.connections import SqlConnection
from cabc.interfaces.sql import SqlPlugin

from tests.support.postgresql import PostgreSQL
from tests.support.retrieval import SUBJECT, spec, value

Ask = Callable[..., Value]


def asker(connection: SqlConnection) -> Ask:
    def ask(query: str, **keys: Any) -> Value:
        return value(SqlPlugin(), spec(SqlInterface, kind="sql", connection="db", query=query, **keys), connection)

    return ask


@pytest.fixture
def lite(tmp_path: Path) -> tuple[Ask, Callable[[], int]]:
    """Give a way to ask SQLite, and one to count the rows afterwards."""
    path = tmp_path / "features.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE rows (id INTEGER, name TEXT)")
        database.executemany("INSERT INTO rows VALUES (?, ?)", [(1, "a"), (2, "b")])
    database.close()

    def count() -> int:
        check = sqlite3.connect(path)
        try:
            return int(check.execute("SELECT count(*) FROM rows").fetchone()[0])
        finally:
            check.close()

    return asker(spec(SqlConnection, kind="sql", url=f"sqlite:///{path}", timeout=2.0)), count


@pytest.fixture(scope="module")
def big(postgresql: PostgreSQL) -> tuple[Ask, Callable[[], int], PostgreSQL, str]:
    """Give the same for PostgreSQL, through a role that could write if the session let it."""
    name = postgresql.new_database()
    postgresql.execute("DROP ROLE IF EXISTS writer")
    postgresql.execute("CREATE ROLE writer LOGIN")
    postgresql.execute("CREATE TABLE rows (id int, name text)", database=name)
    postgresql.execute("CREATE SEQUENCE numbers; GRANT ALL ON numbers TO writer", database=name)
    postgresql.execute("INSERT INTO rows VALUES (1, 'a'), (2, 'b'); GRANT ALL ON rows TO writer", database=name)

    def count() -> int:
        import psycopg

        with psycopg.connect(host=postgresql.host, port=postgresql.port, dbname=name, user="postgres") as check:
            found = check.execute("SELECT count(*) FROM rows").fetchone()
        assert found
        return int(found[0])

    url = postgresql.url(name, user="writer").replace(":x@", "@")
    ask = asker(spec(SqlConnection, kind="sql", url=url, timeout=3.0, network="loopback"))
    return ask, count, postgresql, name


BOTH = [
    "DELETE FROM rows",
    "UPDATE rows SET id = 3",
    "INSERT INTO rows VALUES (3, 'c')",
    "DROP TABLE rows",
    "CREATE TABLE x (y int)",
    "SELECT 1; DROP TABLE rows",
    "SELECT 1; DELETE FROM rows; --",
    "SELECT 1) AS answer; DELETE FROM rows; --",
    "SELECT 1) AS answer; DELETE FROM rows; SELECT * FROM (SELECT 1",
    "WITH gone AS (DELETE FROM rows RETURNING id) SELECT count(*) FROM gone",
    "EXPLAIN SELECT 1",
    "-- comment\nDELETE FROM rows",
    "/* SELECT */ DELETE FROM rows",
    "SELECT 1 /* not closed",
    "SELECT 'not closed",
    "",
    " ",
    ";",
]
SQLITE = [
    "ATTACH DATABASE '/tmp/owned.db' AS x",
    "PRAGMA query_only = OFF",
    "VACUUM INTO '/tmp/owned.db'",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT 1 FROM pragma_query_only('OFF')",
    "SELECT name FROM pragma_database_list",
    "SELECT writefile('/tmp/owned', 'x')",
    "SELECT fts3_tokenizer('x')",
]
POSTGRES = [
    "COPY rows TO '/tmp/owned'",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "SELECT nextval('numbers')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')::text",
    "SELECT lo_import('/etc/passwd')",
    "SELECT count(*) FROM (SELECT id FROM rows FOR UPDATE) AS locked",
    "SELECT id INTO owned FROM rows",
    "SET default_transaction_read_only = off",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "DO $$ BEGIN DELETE FROM rows; END $$",
    "BEGIN; DELETE FROM rows; COMMIT",
    'SELECT 1 AS "a""; DELETE FROM rows; --" UNION ALL SELECT 2',
    "CALL nothing()",
    "LISTEN x",
]


@pytest.mark.parametrize("query", [*BOTH, *SQLITE])
def test_sqlite_only_answers(lite: tuple[Ask, Callable[[], int]], query: str) -> None:
    ask, count = lite
    with pytest.raises((RetrieveError, ValueError)):
        ask(query)
    assert count() == 2
    assert not Path("/tmp/owned.db").exists()  # noqa: S108 (a case)


@pytest.mark.parametrize("query", [*BOTH, *POSTGRES])
def test_postgresql_only_answers(big: tuple[Ask, Callable[[], int], PostgreSQL, str], query: str) -> None:
    ask, count, *_ = big
    with pytest.raises((RetrieveError, ValueError)):
        ask(query)
    assert count() == 2


def test_a_read_only_transaction_stays_one(big: tuple[Ask, Callable[[], int], PostgreSQL, str]) -> None:
    """Even a function that the operator defined, and that the query calls, cannot write."""
    ask, count, server, name = big
    server.execute(
        "CREATE OR REPLACE FUNCTION wipe() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN DELETE FROM rows; RETURN 1; END $$",
        database=name,
    )
    with pytest.raises(RetrieveError, match="read-only"):
        ask("SELECT wipe()")
    trick = "SELECT wipe() FROM (SELECT set_config('transaction_read_only', 'off', true)) AS t"
    with pytest.raises(RetrieveError):
        ask(trick)
    assert count() == 2


def test_a_superuser_is_refused(big: tuple[Ask, Callable[[], int], PostgreSQL, str]) -> None:
    _, _, server, name = big
    ask = asker(spec(SqlConnection, kind="sql", url=server.url(name).replace(":x@", "@"), network="loopback"))
    with pytest.raises(RetrieveError, match="superuser"):
        ask("SELECT 1")


def test_a_role_that_reads_files_is_refused(big: tuple[Ask, Callable[[], int], PostgreSQL, str]) -> None:
    _, _, server, name = big
    server.execute("DROP ROLE IF EXISTS filer")
    server.execute("CREATE ROLE filer LOGIN; GRANT pg_read_server_files TO filer")
    ask = asker(
        spec(SqlConnection, kind="sql", url=server.url(name, user="filer").replace(":x@", "@"), network="loopback")
    )
    with pytest.raises(RetrieveError, match="files of the server"):
        ask("SELECT 1")


@pytest.mark.parametrize("text", ["x' OR '1'='1", "x'; DROP TABLE rows; --", "x\\' OR 1=1 --", "%", ":id", "$1"])
def test_parameters_are_values(
    lite: tuple[Ask, Callable[[], int]], big: tuple[Ask, Callable[[], int], PostgreSQL, str], text: str
) -> None:
    for ask in (lite[0], big[0]):
        assert ask("SELECT count(*) FROM rows WHERE name = :name", parameters={"name": text}) == 0
        assert ask("SELECT count(*) FROM rows WHERE name = :name", parameters={"name": "a"}) == 1


def test_parameters_must_be_those_of_the_query(lite: tuple[Ask, Callable[[], int]]) -> None:
    ask, _ = lite
    with pytest.raises(RetrieveError, match=r"parameters name; given are other"):
        ask("SELECT count(*) FROM rows WHERE name = :name", parameters={"other": "a"})


def test_a_fact_is_bound_and_not_pasted(lite: tuple[Ask, Callable[[], int]]) -> None:
    ask, _ = lite
    assert ask("SELECT :v", parameters={"v": "${subject.version}"}) == SUBJECT.version
    with pytest.raises(RetrieveError):
        ask("SELECT ${subject.version}")


def test_a_query_that_runs_for_ever_is_stopped(
    lite: tuple[Ask, Callable[[], int]], big: tuple[Ask, Callable[[], int], PostgreSQL, str]
) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    for ask, query in ((lite[0], endless), (big[0], "SELECT pg_sleep(60)::text"), (big[0], endless)):
        started = time.monotonic()
        with pytest.raises(RetrieveError, match=r"interrupted|timeout"):
            ask(query)
        assert time.monotonic() - started < 30


def test_a_timeout_cannot_be_lifted_from_inside(big: tuple[Ask, Callable[[], int], PostgreSQL, str]) -> None:
    started = time.monotonic()
    with pytest.raises(RetrieveError):
        big[0]("SELECT (set_config('statement_timeout', '0', false) || pg_sleep(60)::text)")
    assert time.monotonic() - started < 30


def test_millions_of_rows_and_huge_values_stay_in_the_database(
    lite: tuple[Ask, Callable[[], int]], big: tuple[Ask, Callable[[], int], PostgreSQL, str]
) -> None:
    with pytest.raises(RetrieveError, match="more than one row"):
        big[0]("SELECT generate_series(1, 1000000000)")
    with pytest.raises(RetrieveError, match="larger than"):
        big[0]("SELECT repeat('x', 5000000)")
    with pytest.raises(RetrieveError, match="too big"):
        lite[0]("SELECT hex(zeroblob(100000000))")
    with pytest.raises(RetrieveError, match=r"too big|larger"):
        lite[0]("SELECT printf('%.*c', 900000, 'x') || printf('%.*c', 900000, 'x')")


def test_stored_queries_only(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    sqlite3.connect(path).close()
    keys = {"kind": "sql", "url": f"sqlite:///{path}", "queries": {"one": "SELECT 1"}, "stored_only": True}
    ask = asker(spec(SqlConnection, **keys))
    assert ask("one") == 1
    for query in ("SELECT 1", "two"):
        with pytest.raises(RetrieveError, match="no stored query"):
            ask(query)


def test_a_sqlite_file_is_not_made(tmp_path: Path) -> None:
    ask = asker(spec(SqlConnection, kind="sql", url=f"sqlite:///{tmp_path / 'new.db'}"))
    with pytest.raises(RetrieveError, match="unable to open"):
        ask("SELECT 1")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=rwc", "mysql://h/d", "nonsense"]
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(RetrieveError):
        asker(spec(SqlConnection, kind="sql", url=url))("SELECT 1")


def test_the_database_may_not_be_elsewhere(postgresql: PostgreSQL) -> None:
    """A host that resolves to loopback or metadata needs the operator's word, as over HTTP."""
    for host, why in (("localhost", "loopback"), ("169.254.169.254", "metadata")):
        url = f"postgresql+psycopg://writer@{host}:{postgresql.port}/postgres"
        with pytest.raises(RetrieveError, match=why):
            asker(spec(SqlConnection, kind="sql", url=url))("SELECT 1")


def test_a_password_does_not_come_out(postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABC_DB", "hunter2")
    url = f"postgresql+psycopg://nobody@127.0.0.1:{postgresql.port}/nothing"
    keys = {"kind": "sql", "url": url, "password": "env:CABC_DB", "network": "loopback"}
    connection = spec(SqlConnection, **keys)
    with pytest.raises(RetrieveError, match="failed") as raised:
        asker(connection)("SELECT 1")
    assert "hunter2" not in str(raised.value)
