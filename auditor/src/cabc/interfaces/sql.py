"""`sql`: one query, one row, one column, read-only, in PostgreSQL or SQLite."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import json
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from cabc.document.interfaces import SqlInterface
from cabc.interfaces.base import ExtractError, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.connections import SqlConnection
from cabc.interfaces.extraction import cast, pointed
from cabc.interfaces.parameters import fill
from cabc.interfaces.structured import parse_json
from cabc.text import one_line

__all__ = ["SqlPlugin"]

_SELECT = re.compile(r"\s*(?:(?:--[^\n]*\n|/\*.*?\*/)\s*)*(?:select|with|values|table)\b", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"[a-z0-9_-]{1,64}")


class SqlPlugin:
    """Run the query in a thread. The database itself is told to refuse writing; the query is one nested SELECT."""

    kind: ClassVar[str] = "sql"
    spec: ClassVar[type[SqlInterface]] = SqlInterface
    connection: ClassVar[type[SqlConnection]] = SqlConnection

    async def retrieve(self, spec: SqlInterface, connection: SqlConnection, subject: SubjectFacts) -> Retrieved:
        query = _query(spec, connection)
        given = spec.parameters.items()
        parameters = {name: fill(value, subject) if isinstance(value, str) else value for name, value in given}
        body = await asyncio.to_thread(_answer, query, parameters, connection)
        return Retrieved(body, "application/json", f"query {one_line(spec.query)} of connection {spec.connection}")

    def extract(self, spec: SqlInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        value = pointed(parse_json(body), "/value")
        if value is None:
            msg = "the query's answer is null"
            raise ExtractError(msg)
        return cast(value, spec.cast)

    async def close(self) -> None:
        """Hold nothing: each query has a connection of its own."""


def _query(spec: SqlInterface, connection: SqlConnection) -> str:
    if spec.query in connection.queries:
        return connection.queries[spec.query]
    if connection.stored_only or _NAME.fullmatch(spec.query):
        msg = f"connection {spec.connection} has no stored query {one_line(spec.query)!r}"
        raise RetrieveError(msg)
    if not _SELECT.match(spec.query):
        msg = "the query must be one SELECT"
        raise RetrieveError(msg)
    return spec.query


def _answer(query: str, parameters: Mapping[str, Any], connection: SqlConnection) -> bytes:
    from cabc.interfaces.databases import ask

    columns, rows = ask(query, parameters, connection)
    if len(columns) != 1 or len(rows) != 1:
        many = f"{len(columns)} columns" if len(columns) != 1 else "more than one row" if rows else "no row"
        msg = f"the query gives {many}; one row with one column is wanted"
        raise RetrieveError(msg)
    answer = {"column": columns[0], "value": _plain(rows[0][0])}
    body = json.dumps(answer, sort_keys=True, separators=(",", ":")).encode()
    if len(body) > connection.max_bytes:
        msg = f"the value is larger than {connection.max_bytes} bytes (the connection's limit)"
        raise RetrieveError(msg)
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        value = int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"the query gives a value of type {type(value).__name__}, which is neither number, boolean nor text"
    raise RetrieveError(msg)
