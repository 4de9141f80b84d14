"""`sql` in SQLite and PostgreSQL: types, shapes, stored queries."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cabc.document.interfaces import SqlInterface
from cabc.interfaces.base import ExtractError, RetrieveError, Value
from cabc.interfaces.connections import SqlConnection
from cabc.interfaces.lanes import lane
from cabc.interfaces.sql import SqlPlugin

from tests.support.postgresql import PostgreSQL
from tests.support.retrieval import retrieve, spec, value


def ask(query: str, **keys: Any) -> SqlInterface:
    asked: SqlInterface = spec(SqlInterface, kind="sql", connection="db", query=query, **keys)
    return asked


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> SqlConnection:
    """Give a SQLite database with a table and a stored query."""
    path: Path = tmp_path_factory.mktemp("sql") / "a b?.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE rows (id INTEGER, income REAL)")
    database.executemany("INSERT INTO rows VALUES (?, ?)", [(1, 10.5), (2, None), (3, 4.0), (4, 1.0)])
    database.commit()
    database.close()
    stored = {"missing_rate": "SELECT avg(income IS NULL) FROM rows WHERE id < :below"}
    made: SqlConnection = spec(
        SqlConnection, kind="sql", url=f"sqlite:///{str(path).replace('?', '%3F')}", queries=stored
    )
    return made


@pytest.fixture(scope="module")
def big(postgresql: PostgreSQL) -> SqlConnection:
    """Give PostgreSQL through a role that may only connect."""
    postgresql.execute("DROP ROLE IF EXISTS reader")
    postgresql.execute("CREATE ROLE reader LOGIN")
    made: SqlConnection = spec(
        SqlConnection, kind="sql", url=postgresql.url(user="reader").replace(":x@", "@"), network="loopback"
    )
    return made


def read(connection: SqlConnection, query: str, **keys: Any) -> Value:
    return value(SqlPlugin(), ask(query, **keys), connection)


def test_a_stored_query_with_parameters(lite: SqlConnection) -> None:
    assert read(lite, "missing_rate", parameters={"below": 9}) == 0.25
    assert retrieve(SqlPlugin(), ask("missing_rate", parameters={"below": 9}), lite).origin == (
        "query missing_rate of connection db"
    )


def test_no_more_are_asked_at_once_than_the_connection_allows(lite: SqlConnection) -> None:
    """Runs of other subjects count too: the database does not know one from the other."""
    narrow = lite.model_copy(update={"max_concurrent": 1, "timeout": 0.05})
    with (
        lane(str(sa.make_url(lite.url)), 1, 1),
        pytest.raises(RetrieveError, match=r"1 retrievals .+ none ended within 0\.05 s"),
    ):
        read(narrow, "SELECT 1")
    assert read(narrow.model_copy(update={"timeout": 5.0}), "SELECT 1") == 1


def test_an_unknown_name_is_no_query(lite: SqlConnection) -> None:
    with pytest.raises(RetrieveError, match="no stored query 'missing_rat'"):
        read(lite, "missing_rat")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT 1", 1),
        ("select 0.5;", 0.5),
        ("SELECT 'text' -- a comment", "text"),
        ("WITH x AS (SELECT 2 AS a) SELECT a FROM x", 2),
        ("VALUES (3)", 3),
        ("/* a comment */ SELECT 4", 4),
        (r"SELECT '\:not a parameter'", ":not a parameter"),
    ],
)
def test_both_answer_alike(lite: SqlConnection, big: SqlConnection, query: str, wanted: Value) -> None:
    for connection in (lite, big):
        found = read(connection, query)
        assert (type(found), found) == (type(wanted), wanted)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT true", True),
        ("SELECT 1.50::numeric", 1.5),
        ("SELECT 12345678901234567890::numeric", 12345678901234567890),
        ("SELECT date '2026-01-02'", "2026-01-02"),
        ("SELECT '7'::text", "7"),
        ("SELECT count(*) FROM generate_series(1, 5)", 5),
        (r'SELECT 1 AS "odd "" \:name"', 1),
    ],
)
def test_types_of_postgresql(big: SqlConnection, query: str, wanted: Value) -> None:
    found = read(big, query)
    assert (type(found), found) == (type(wanted), wanted)


def test_a_cast_turns_text_into_a_number(big: SqlConnection) -> None:
    assert read(big, "SELECT '0.9'") == "0.9"
    assert read(big, "SELECT '0.9'", cast="numeric") == 0.9


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT 1 WHERE 1 = 0", "no row"),
        ("SELECT 1 UNION ALL SELECT 2", "more than one row"),
        ("SELECT 1 AS a, 2 AS b", "2 columns"),
        ("SELECT nothing FROM nowhere", "failed"),
        ("SELEC 1", "one SELECT"),
    ],
)
def test_what_is_not_one_value_is_an_error(lite: SqlConnection, big: SqlConnection, query: str, why: str) -> None:
    for connection in (lite, big):
        with pytest.raises(RetrieveError, match=why):
            read(connection, query)


@pytest.mark.parametrize(
    "query", ["SELECT NULL", "SELECT 'nan'::float8", "SELECT 'infinity'::float8", "SELECT 'NaN'::numeric"]
)
def test_null_and_what_is_not_finite_are_errors(big: SqlConnection, query: str) -> None:
    with pytest.raises(ExtractError):
        read(big, query, cast="numeric")


@pytest.mark.parametrize(
    "query", ["SELECT '{}'::jsonb", "SELECT ARRAY[1, 2]", "SELECT '\\x00'::bytea", "SELECT '1 day'::interval"]
)
def test_other_types_are_refused_by_name(big: SqlConnection, query: str) -> None:
    with pytest.raises(RetrieveError, match="type"):
        read(big, query)


def test_an_address_by_reference(lite: SqlConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CABC_DB", lite.url)
    assert read(lite.model_copy(update={"url": "env:CABC_DB"}), "SELECT 1") == 1
