"""What the monitor reads of the prediction log: predictions, and truths with the answers they are about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pandas as pd
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from platform_runtime.model_monitor.report import Figure, Window
from platform_runtime.prediction_log import reading
from platform_runtime.traffic import PROBE

__all__ = ["Log", "LogError", "PredictionLog", "Served"]

CHUNK = 20_000
"""Rows that are in memory at a time."""

FIGURES = 20
"""Different figures of one kind that are told apart: those that came most often."""

TIMEOUT = {"connect_timeout": 10, "options": "-c statement_timeout=600000"}

Served = tuple[str, str, dt.datetime, dt.datetime, int]
"""Model, version, first and last prediction, rows."""

# From the truths, not from the predictions: labels are few, and may be of long ago.
LABELS = """
SELECT DISTINCT ON (p.request_id, p.row)
       p.output, t.value, t.attributes, extract(epoch FROM t.received_at - p.at)::double precision
FROM truths t JOIN predictions p ON p.request_id = t.request_id AND (t.row = p.row OR t.row IS NULL)
WHERE p.model = :model AND p.version = :version AND p.at >= :since AND p.at < :until
  AND t.kind = 'label' AND NOT t.superseded AND NOT starts_with(p.request_id, :probe)
ORDER BY p.request_id, p.row, t.row NULLS LAST
"""
"""What is said of one row counts before what is said of the whole request."""

NUMBERS = """
SELECT entry.key, count(*), sum(number), avg(number)
FROM requests r JOIN truths t USING (request_id)
CROSS JOIN LATERAL jsonb_each(
  CASE jsonb_typeof(t.value) WHEN 'object' THEN t.value ELSE jsonb_build_object('value', t.value) END) AS entry
CROSS JOIN LATERAL (SELECT CASE jsonb_typeof(entry.value)
  WHEN 'number' THEN (entry.value #>> '{}')::double precision
  WHEN 'boolean' THEN (entry.value = 'true'::jsonb)::int END AS number) AS read
WHERE r.model = :model AND r.version = :version AND r.at >= :since AND r.at < :until
  AND t.kind = :kind AND NOT t.superseded AND number IS NOT NULL
  AND NOT starts_with(r.request_id, :probe)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT :most
"""


PROBES = """
SELECT count(*) FROM predictions
WHERE model = :model AND version = :version AND at >= :start AND at < :until AND starts_with(request_id, :probe)
"""


class LogError(Exception):
    """The log cannot be read."""


class Log(Protocol):
    """Where windows come from."""

    def served(self, since: dt.datetime) -> list[Served]:
        """Return the versions that have predictions from a time on, and how many since then."""

    def predictions(self, window: Window) -> Iterator[pd.DataFrame]:
        """Return the predictions of a window in chunks, with columns `input.…` and `output.…`."""

    def probes(self, window: Window) -> int:
        """Return how many rows of a window are of probes, which `predictions` and all else leave out."""

    def truths(self, window: Window) -> Iterator[pd.DataFrame]:
        """Return the answers that truths came for: `output.…`, `label`, `attribute.…`, `delay` in seconds."""

    def figures(self, window: Window, kind: str) -> dict[str, Figure]:
        """Return the numbers among the truths of a kind, by name; a bare number is called `value`."""


class PredictionLog:
    """The log in its database, as a user who may only read it."""

    def __init__(self, url: str) -> None:
        self._url = url
        # Connections are made and closed each time: minutes lie between two measurements.
        self._engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=TIMEOUT)

    def served(self, since: dt.datetime) -> list[Served]:
        with _told():
            return reading.served(self._url, since)

    def predictions(self, window: Window) -> Iterator[pd.DataFrame]:
        asked = (self._url, window.model, window.version, window.start, window.end)
        with _told():
            # Labels are read from their own side: they are few, and their window is another.
            for part in reading.windows(*asked, chunk=CHUNK, truths=False):
                yield part[~part["request_id"].str.startswith(PROBE)]

    def probes(self, window: Window) -> int:
        with _told(), self._engine.connect() as connection:
            values = {**_limits(window), "start": window.start}
            return int(connection.execute(sqlalchemy.text(PROBES), values).scalar_one())

    def truths(self, window: Window) -> Iterator[pd.DataFrame]:
        with _told(), self._engine.connect().execution_options(yield_per=CHUNK) as connection:
            for part in connection.execute(sqlalchemy.text(LABELS), _limits(window)).partitions():
                yield _frame(part)

    def figures(self, window: Window, kind: str) -> dict[str, Figure]:
        values = {**_limits(window), "kind": kind, "most": FIGURES}
        with _told(), self._engine.connect() as connection:
            found = connection.execute(sqlalchemy.text(NUMBERS), values)
            return {name: Figure(rows=rows, total=total, mean=mean) for name, rows, total, mean in found}


def _limits(window: Window) -> Mapping[str, Any]:
    return {
        "model": window.model,
        "version": window.version,
        "since": window.labels_since,
        "until": window.end,
        "probe": PROBE,
    }


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        msg = f"the prediction log cannot be read: {str(error).strip()}"
        raise LogError(msg) from error


def _frame(rows: Sequence[Any]) -> pd.DataFrame:
    outputs, labels, attributes, delays = zip(*rows, strict=True)
    return pd.concat(
        [
            pd.DataFrame.from_records([_parts(each) for each in outputs]).add_prefix("output."),
            pd.Series(labels, dtype=object, name="label"),
            pd.DataFrame.from_records(attributes, index=range(len(rows))).add_prefix("attribute."),
            pd.Series(delays, name="delay", dtype=float),
        ],
        axis="columns",
    )


def _parts(output: Any) -> dict[str, Any]:
    """Return the parts of an answer by the names that `reading.windows` gives them."""
    if isinstance(output, dict):
        return output
    return {str(place): part for place, part in enumerate(output if isinstance(output, list) else [output])}
