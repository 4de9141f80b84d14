"""What the monitor reads of the prediction log: predictions, and truths with the answers they are about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pandas as pd
import psycopg2

from platform_runtime.model_monitor.report import Figure, Window
from platform_runtime.prediction_log import reading

__all__ = ["Log", "LogError", "PredictionLog", "Served"]

CHUNK = 20_000
"""Rows that are in memory at a time."""

FIGURES = 20
"""Different figures of one kind that are told apart: those that came most often."""

Served = tuple[str, str, dt.datetime, dt.datetime, int]
"""Model, version, first and last prediction, rows."""

LABELS = """
SELECT p.output, t.value, t.attributes, extract(epoch FROM t.received_at - p.at)::double precision
FROM predictions p JOIN truths t ON t.request_id = p.request_id AND (t.row IS NULL OR t.row = p.row)
WHERE p.model = %s AND p.version = %s AND p.at >= %s AND p.at < %s AND t.kind = 'label' AND NOT t.superseded
"""

NUMBERS = """
SELECT entry.key, count(*), sum(number), avg(number)
FROM requests r JOIN truths t USING (request_id)
CROSS JOIN LATERAL jsonb_each(
  CASE jsonb_typeof(t.value) WHEN 'object' THEN t.value ELSE jsonb_build_object('value', t.value) END) AS entry
CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(entry.value)
  WHEN 'number' THEN (entry.value #>> '{}')::double precision
  WHEN 'boolean' THEN (entry.value = 'true'::jsonb)::int END AS number) AS read
WHERE r.model = %s AND r.version = %s AND r.at >= %s AND r.at < %s AND t.kind = %s AND NOT t.superseded
  AND number IS NOT NULL
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s
"""


class LogError(Exception):
    """The log cannot be read."""


class Log(Protocol):
    """Where windows come from."""

    def served(self) -> list[Served]:
        """Return the versions that the log knows."""

    def predictions(self, window: Window) -> Iterator[pd.DataFrame]:
        """Return the predictions of a window in chunks, with columns `input.…` and `output.…`."""

    def truths(self, window: Window) -> Iterator[pd.DataFrame]:
        """Return the answers that truths came for: `output.…`, `label`, `attribute.…`, `delay` in seconds."""

    def figures(self, window: Window, kind: str) -> dict[str, Figure]:
        """Return the numbers among the truths of a kind, by name; a bare number is called `value`."""


class PredictionLog:
    """The log in its database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def served(self) -> list[Served]:
        with _told():
            return list(reading.served(self._url))

    def predictions(self, window: Window) -> Iterator[pd.DataFrame]:
        with _told():
            yield from reading.windows(self._url, window.model, window.version, window.start, window.end, chunk=CHUNK)

    def truths(self, window: Window) -> Iterator[pd.DataFrame]:
        with _told(), self._connection() as connection, connection.cursor(name="labels") as cursor:
            cursor.itersize = CHUNK
            cursor.execute(LABELS, (window.model, window.version, window.labels_since, window.end))
            while rows := cursor.fetchmany(CHUNK):
                yield _frame(rows)

    def figures(self, window: Window, kind: str) -> dict[str, Figure]:
        values = (window.model, window.version, window.labels_since, window.end, kind, FIGURES)
        with _told(), self._connection() as connection, connection.cursor() as cursor:
            cursor.execute(NUMBERS, values)
            return {name: Figure(rows=rows, total=total, mean=mean) for name, rows, total, mean in cursor.fetchall()}

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        connection = psycopg2.connect(self._url, connect_timeout=10, options="-c statement_timeout=300000")
        try:
            connection.set_session(readonly=True)
            yield connection
        finally:
            connection.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        msg = f"the prediction log cannot be read: {str(error).strip()}"
        raise LogError(msg) from error


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    outputs = pd.DataFrame.from_records([_parts(output) for output, *_ in rows]).add_prefix("output.")
    attributes = pd.DataFrame.from_records([found or {} for _, _, found, _ in rows]).add_prefix("attribute.")
    # A table of rows without a single attribute would have no rows either.
    attributes = attributes.reindex(range(len(rows)))
    label = pd.Series([value for _, value, _, _ in rows], dtype=object, name="label")
    return pd.concat([outputs, attributes, label, pd.Series([delay for *_, delay in rows], name="delay")], axis=1)


def _parts(output: Any) -> dict[str, Any]:
    """Return the parts of an answer by their names as `reading.windows` gives them."""
    if isinstance(output, dict):
        return {str(name): value for name, value in output.items()}
    if isinstance(output, list):
        return {str(place): value for place, value in enumerate(output)}
    return {"0": output}
