"""`log`: lines of a log file or of a Loki-compatible service. The lines that match are kept as evidence."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from cabc.document.durations import parse_duration
from cabc.document.interfaces import LogInterface
from cabc.interfaces.base import ExtractError, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.beneath import open_beneath
from cabc.interfaces.connections import LogConnection
from cabc.interfaces.extraction import captured, cast, compiled, finish
from cabc.interfaces.guarded import GuardedClient, GuardedPlugin
from cabc.interfaces.parameters import fill_path, fill_query
from cabc.interfaces.promql import lint
from cabc.interfaces.structured import parse_json, text_of
from cabc.text import one_line

__all__ = ["LogPlugin"]

_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?")
_KEYS = ("timestamp", "@timestamp", "time", "ts")
_SELECTOR = re.compile(r"\s*\{[^{}]*\}\s*")
_LINE = 100_000
_DAY = dt.timedelta(days=1)


class LogPlugin(GuardedPlugin):
    """Read lines, keep those that match and are young enough, and how many were looked at.

    `now` is the clock; a time stamp without a zone is read as UTC.
    """

    kind: ClassVar[str] = "log"
    spec: ClassVar[type[LogInterface]] = LogInterface
    connection: ClassVar[type[LogConnection]] = LogConnection

    def __init__(
        self, client: GuardedClient | None = None, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        super().__init__(client)
        self._now = now

    async def retrieve(self, spec: LogInterface, connection: LogConnection, subject: SubjectFacts) -> Retrieved:
        now = self._now()
        since = now - parse_duration(spec.since) if spec.since else None
        if connection.root is not None:
            path = fill_path(spec.path or "", subject)
            lines, scanned = await asyncio.to_thread(_file, connection, path, spec.regex, since)
            origin = f"log file {path} of connection {spec.connection}"
        else:
            query = fill_query(spec.query or "", subject)
            lines, scanned = await self._loki(connection, query, spec.regex, since or now - _DAY, now)
            origin = f"log query {one_line(query)} of connection {spec.connection}"
        body = "".join(f"{line}\n" for line in lines).encode()
        if len(body) > connection.max_bytes:
            msg = (
                f"the {len(lines)} matching lines are more than {connection.max_bytes} bytes; narrow `regex` or `since`"
            )
            raise RetrieveError(msg)
        return Retrieved(body, "text/plain", origin, {"scanned": str(scanned), "matched": str(len(lines))})

    def extract(self, spec: LogInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        if details.get("scanned", "0") == "0":
            msg = f"there are no lines{' younger than ' + spec.since if spec.since else ''}: nothing was logged"
            raise ExtractError(msg)
        text = text_of(body)
        matching = [line for line in text.splitlines() if compiled(spec.regex).search(line)]
        if spec.reduce == "count":
            return len(matching)
        if compiled(spec.regex).groups == 0:
            return cast(bool(matching), spec.cast)
        found = [value for line in matching for value in captured(line, spec.regex)]
        return finish(found, spec.reduce or "last", spec.cast)

    async def _loki(
        self, connection: LogConnection, query: str, pattern: str, since: dt.datetime, now: dt.datetime
    ) -> tuple[list[str], int]:
        mistakes = lint(query, _DAY) if _SELECTOR.fullmatch(query) else ["it is more than one stream selector"]
        if mistakes:
            msg = f'the query is refused: {mistakes[0]}; write for example {{app="scoring"}}'
            raise RetrieveError(msg)
        asked = {
            "query": query,
            "start": str(int(since.timestamp() * 1e9)),
            "end": str(int(now.timestamp() * 1e9)),
            "limit": str(connection.max_lines + 1),
            "direction": "forward",
        }
        limit = connection.max_bytes * 20
        answer = await self._client.get(connection.http(), "/loki/api/v1/query_range", query=asked, limit=limit)
        lines = _streams(answer.body)
        if len(lines) > connection.max_lines:
            msg = f"the service gives more than {connection.max_lines} lines (the connection's limit); narrow `since`"
            raise RetrieveError(msg)
        return [line for line in lines if compiled(pattern).search(line)], len(lines)


def _streams(body: bytes) -> list[str]:
    try:
        data = parse_json(body)["data"]
        if data["resultType"] != "streams":
            msg = f"the service gives {one_line(str(data['resultType']))} in place of lines"
            raise RetrieveError(msg)
        entries = [(int(value[0]), str(value[1])) for stream in data["result"] for value in stream["values"]]
    except (KeyError, TypeError, IndexError, ValueError, ExtractError) as error:
        msg = "the answer has not the shape of Loki's query API"
        raise RetrieveError(msg) from error
    return [" ".join(line.splitlines()) for _, line in sorted(entries, key=lambda entry: entry[0])]


def _file(connection: LogConnection, path: str, pattern: str, since: dt.datetime | None) -> tuple[list[str], int]:
    with os.fdopen(open_beneath(str(connection.root), path, connection.max_file_bytes), "rb") as file:
        return _scan(iter(lambda: file.readline(_LINE), b""), connection, pattern, since)


def _scan(
    raw: Iterable[bytes], connection: LogConnection, pattern: str, since: dt.datetime | None
) -> tuple[list[str], int]:
    """Return the matching lines and how many were young enough; a line without a time stamp has that before it."""
    regex = compiled(pattern)
    lines, scanned, size, young, stamped = [], 0, 0, since is None, since is None
    for piece in raw:
        line = piece.decode(errors="replace").rstrip("\r\n")
        if since is not None and (stamp := _stamp(line)) is not None:
            young, stamped = stamp >= since, True
        if not young or not line:
            continue
        scanned += 1
        if regex.search(line):
            lines.append(line)
            size += len(piece)
            if size > connection.max_bytes:
                break
    if not stamped:
        msg = "no line begins with a time stamp (ISO 8601), so `since` cannot be judged"
        raise RetrieveError(msg)
    return lines, scanned


def _stamp(line: str) -> dt.datetime | None:
    found = _STAMP.match(line.lstrip("[ "))
    text = found[0] if found else _json_stamp(line)
    if text is None or not _STAMP.fullmatch(text):
        return None
    try:
        stamp = dt.datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        return None
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=dt.UTC)


def _json_stamp(line: str) -> str | None:
    if not line.startswith("{"):
        return None
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    found = next((document[key] for key in _KEYS if key in document), None)
    return found if isinstance(found, str) else None
