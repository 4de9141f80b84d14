"""Read windows of the log, in a pod: for monitoring, which sees many rows and keeps few."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pandas as pd
import sqlalchemy
from sqlalchemy import Engine, text

__all__ = ["CHUNK", "served", "windows"]

CHUNK = 20_000
"""Rows in memory at once."""

_WINDOW = """
SELECT p.request_id, p.row, p.at, r.latency_ms, r.status, p.inputs::text AS inputs, p.output::text AS output{said}
FROM predictions AS p JOIN requests AS r USING (request_id) {truths}
WHERE p.model = :model AND p.version = :version AND p.at >= :since AND p.at < :until
"""

_SAID = """,
       label.value::text AS label, label.attributes::text AS attributes, label.received_at AS labelled_at,
       feedback.value::text AS feedback, business.value::text AS business"""

_TRUTH = """
LEFT JOIN LATERAL (
  SELECT value, attributes, received_at FROM truths AS t
  WHERE t.request_id = p.request_id AND t.kind = '{kind}' AND NOT t.superseded AND (t.row = p.row OR t.row IS NULL)
  ORDER BY t.row NULLS LAST LIMIT 1
) AS {kind} ON true
"""
"""What is said of one row counts before what is said of the whole request."""

SECONDS = {"windows": 600, "served": 60}
"""After which the database gives a question up: whoever asks every minute must not have two of them at work."""

_SERVED = "SELECT p.model, p.version, min(p.at), max(p.at), count(*) FROM {rows} GROUP BY 1, 2 ORDER BY 1, 2"

_KINDS = ("label", "feedback", "business")


def windows(  # noqa: PLR0917 (a window is these five)
    url: str,
    model: str,
    version: str,
    since: dt.datetime,
    until: dt.datetime,
    chunk: int = CHUNK,
    *,
    truths: bool = True,
) -> Iterator[pd.DataFrame]:
    """Give the rows that were predicted in a time, in parts of at most `chunk` rows and in no order.

    Columns: `request_id`, `row`, `at`, `latency_ms`, `status`; `input.<name>` and `output.<name>`, where a list is
    named by its places and a bare value is `output.0`; `label` and `labelled_at` (when it was received), missing where
    there is none; `attribute.<name>` as sent with the label; `feedback`; `business.<name>`. Columns that no row of a
    part has are not in it. Without `truths` the columns from `label` on are left out, and the window takes the database
    a fifth of the time: it looks for truths row by row.
    """
    joined = "".join(_TRUTH.format(kind=kind) for kind in _KINDS)
    statement = text(_WINDOW.format(said=_SAID, truths=joined) if truths else _WINDOW.format(said="", truths=""))
    values = {"model": model, "version": version, "since": since, "until": until}
    engine = _engine(url, SECONDS["windows"])
    try:
        # The server's cursor: the client's would bring all rows into memory first.
        with engine.connect().execution_options(yield_per=chunk) as connection:
            for part in connection.execute(statement, values).partitions(chunk):
                yield _frame(part)
    finally:
        engine.dispose()


def served(url: str, since: dt.datetime | None = None) -> list[tuple[str, str, dt.datetime, dt.datetime, int]]:
    """Return model, version, first and last time and number of rows of everything that has predictions.

    With a time, only what was predicted from then on counts, and only that is read.
    """
    engine = _engine(url, SECONDS["served"])
    # By the requests, which have an index of their times; a row's time is its request's.
    recent = "requests AS r JOIN predictions AS p USING (request_id) WHERE r.at >= :since"
    try:
        with engine.connect() as connection:
            found = connection.execute(
                text(_SERVED.format(rows="predictions AS p" if since is None else recent)),
                {} if since is None else {"since": since},
            )
            return [(row[0], row[1], row[2], row[3], row[4]) for row in found]
    finally:
        engine.dispose()


def _engine(url: str, seconds: float) -> Engine:
    limits = {"connect_timeout": 5, "options": f"-c statement_timeout={round(seconds * 1000)}"}
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=limits)


def _frame(rows: Sequence[Any]) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True))
    names = ("request_id", "row", "at", "latency_ms", "status")
    frame = pd.DataFrame(dict(zip(names, columns[:5], strict=True)))
    frame["latency_ms"] = frame["latency_ms"].astype(float)
    frame["status"] = frame["status"].astype("Int32")
    inputs, output, *said = columns[5:]
    return pd.concat([frame, _spread("input", inputs), _spread("output", output), *_truths(*said)], axis="columns")


def _truths(*said: Sequence[Any]) -> list[pd.DataFrame]:
    """Return the columns of what was said later, none where that was not asked for."""
    if not said:
        return []
    label, attributes, labelled_at, feedback, business = said
    return [
        # Whatever it is in one part, parts fit together.
        pd.DataFrame({"label": _loaded(label)}, dtype=object),
        pd.DataFrame({"labelled_at": pd.to_datetime(pd.Series(labelled_at), utc=True)}),
        _spread("attribute", attributes),
        pd.DataFrame({"feedback": _loaded(feedback)}, dtype=object),
        _spread("business", business),
    ]


def _loaded(texts: Sequence[str | None]) -> list[Any]:
    """Decode a column of JSON at once, which takes a tenth of the time of one by one."""
    found: list[Any] = orjson.loads(f"[{','.join(each or 'null' for each in texts)}]")
    return found


def _spread(prefix: str, texts: Sequence[str | None]) -> pd.DataFrame:
    """Return a column of JSON as one column per name; a value that is missing in one row is missing there."""
    rows = [_named(each) for each in _loaded(texts)]
    # Naming columns once, and not each value, is half of the time.
    return pd.DataFrame(rows, index=range(len(rows))).add_prefix(f"{prefix}.")


def _named(value: Any) -> dict[str, Any]:
    """Return the parts of a value by name: a list's by their places, nothing of nothing, and the rest is a part."""
    if isinstance(value, dict):
        return value
    parts = value if isinstance(value, list) else [] if value is None else [value]
    return {str(place): part for place, part in enumerate(parts)}
