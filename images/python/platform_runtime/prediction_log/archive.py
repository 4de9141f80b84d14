"""Parquet files in a bucket: one row per predicted row, partitioned by model, version and day; truths by day.

A batch gets its id in the database first, and its object the name of that id. Whoever dies in between writes the same
object again. A record that changes after it was archived goes into another file; the file whose name comes last counts.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy import Connection, Engine, text

from platform_runtime.prediction_log import schema, storing, truths

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

__all__ = ["Archive", "Bucket", "File", "in_parts"]

REQUESTS_PER_FILE = 20_000

PART_ROWS, PART_BYTES = 5000, 8 << 20
"""Rows, and bytes of their texts, that are in memory at once: a file has as many rows as its requests."""

FETCHED = 32
"""Rows that come from the database at a time: one may be as large as an event."""

PATIENCE = dt.timedelta(minutes=1)
"""How long an answer is waited for before its request is archived alone."""

COLUMNS = {
    "predictions": storing.COLUMNS | storing.ROWS,
    "truths": {**truths.COLUMNS, "superseded": "boolean"},
}
"""Of each kind of file, as the database has them; JSON is text, so that a file outlives a model's features."""

_ASSIGN = {
    "predictions": """
        WITH chosen AS MATERIALIZED (
          SELECT request_id AS key, model, version, (at AT TIME ZONE 'UTC')::date AS day FROM requests
          WHERE archive IS NULL AND (answered_at IS NOT NULL OR stored_at < now() - :patience)
          ORDER BY at LIMIT :limit
        ), made AS (
          INSERT INTO archives (kind, model, version, day, rows)
          SELECT 'predictions', model, version, day, 0 FROM chosen GROUP BY model, version, day
          RETURNING id, model, version, day
        )
        UPDATE requests SET archive = made.id FROM chosen JOIN made USING (model, version, day)
        WHERE request_id = chosen.key
        """,
    "truths": """
        WITH chosen AS MATERIALIZED (
          SELECT id AS key, (received_at AT TIME ZONE 'UTC')::date AS day FROM truths
          WHERE archive IS NULL ORDER BY received_at LIMIT :limit
        ), made AS (
          INSERT INTO archives (kind, model, version, day, rows)
          SELECT 'truths', '', '', day, 0 FROM chosen GROUP BY day RETURNING id, day
        )
        UPDATE truths SET archive = made.id FROM chosen JOIN made USING (day) WHERE truths.id = chosen.key
        """,
}

_READ = {
    "predictions": "SELECT {columns} FROM requests AS r LEFT JOIN predictions AS p USING (request_id)"
    " WHERE archive = :id ORDER BY request_id, row",
    "truths": "SELECT {columns} FROM truths AS r WHERE archive = :id ORDER BY id",
}


@dataclass(frozen=True)
class File:
    """One object of the archive."""

    path: str
    kind: str
    model: str
    version: str
    day: dt.date


class Bucket:
    """Where the files are: an S3 bucket, or a folder."""

    def __init__(self, address: str, environment: Mapping[str, str] = os.environ) -> None:
        self._address = address
        self._environment = environment
        self._opened: FileSystem | None = None

    @property
    def files(self) -> FileSystem:
        """Paths are relative to the bucket. Opened at first use: the library is large, and S3 need not answer yet."""
        if self._opened is None:
            from pyarrow import fs

            parts = urlsplit(self._address)
            if parts.scheme == "s3":
                endpoint = urlsplit(self._environment["AWS_ENDPOINT_URL"])
                store: FileSystem = fs.S3FileSystem(
                    access_key=self._environment["AWS_ACCESS_KEY_ID"],
                    secret_key=self._environment["AWS_SECRET_ACCESS_KEY"],
                    region=self._environment.get("AWS_DEFAULT_REGION", "us-east-1"),
                    scheme=endpoint.scheme,
                    endpoint_override=endpoint.netloc,
                    connect_timeout=5,
                    request_timeout=30,
                    # A small file is one call instead of three.
                    allow_delayed_open=True,
                )
                folder = parts.netloc
            else:
                store, folder = fs.FileSystem.from_uri(self._address)
            self._opened = fs.SubTreeFileSystem(folder, store)
        return self._opened

    def write(self, path: str, parts: Iterable[pa.Table]) -> int:
        """Put one file of these parts and return its rows; no parts, no file."""
        from pyarrow import fs, parquet

        tables = iter(parts)
        first = next(tables, None)
        if first is None:
            return 0
        if isinstance(self.files.base_fs, fs.LocalFileSystem):  # S3 has no folders
            self.files.create_dir(path.rpartition("/")[0], recursive=True)
        rows = 0
        try:
            with parquet.ParquetWriter(path, first.schema, filesystem=self.files, compression="zstd") as writer:
                for table in chain([first], tables):
                    writer.write_table(table)
                    rows += table.num_rows
        except BaseException:
            # What is closed half-way looks like a whole file.
            with contextlib.suppress(OSError):
                self.delete(path)
            raise
        return rows

    def read(self, path: str) -> Iterator[dict[str, Any]]:
        """Give the rows of one file, of which a few are in memory."""
        from pyarrow import parquet

        with parquet.ParquetFile(path, filesystem=self.files, pre_buffer=False) as file:
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(batch_size=FETCHED, row_groups=[group]):
                    yield from batch.to_pylist()

    def rows(self, path: str) -> int:
        """Return how many rows a file has."""
        from pyarrow import parquet

        with parquet.ParquetFile(path, filesystem=self.files) as file:
            return int(file.metadata.num_rows)

    def delete(self, path: str) -> None:
        """Remove one file, if it is there."""
        from pyarrow import fs

        if self.files.get_file_info(path).type is not fs.FileType.NotFound:
            self.files.delete_file(path)

    def find(self, kind: str, *, model: str | None, version: str | None, since: dt.date, until: dt.date) -> list[File]:
        """Return files of a kind, newest batch first; None is any model, any version."""
        from pyarrow import fs

        selector = fs.FileSelector(kind, recursive=True, allow_not_found=True)
        found = [
            file
            for info in self.files.get_file_info(selector)
            if info.type is fs.FileType.File and (file := _parsed(info.path)) is not None
        ]
        return sorted(
            (
                file
                for file in found
                if model in (None, file.model) and version in (None, file.version) and since <= file.day <= until
            ),
            key=lambda file: file.path.rpartition("/")[2],
            reverse=True,
        )


class Archive:
    """Writes what is in the database and in no file yet."""

    def __init__(self, engine: Engine, bucket: Bucket) -> None:
        self._engine = engine
        self.bucket = bucket

    def run(self) -> dict[str, int]:
        """Write all that is to be written; return the number of rows by kind."""
        written = dict.fromkeys(_ASSIGN, 0)
        # What an earlier run did not get to; its batches have ids.
        self._write_all(written)
        for kind, statement in _ASSIGN.items():
            values = {"limit": REQUESTS_PER_FILE, **({"patience": PATIENCE} if kind == "predictions" else {})}
            while True:
                with self._engine.begin() as connection:
                    schema.lock(connection)
                    assigned = connection.execute(text(statement), values).rowcount
                self._write_all(written)
                if assigned < REQUESTS_PER_FILE:
                    break
        return written

    def _write_all(self, written: dict[str, int]) -> None:
        with self._engine.begin() as connection:
            log = str(connection.execute(text("SELECT id FROM log")).scalar_one())
            batches = connection.execute(
                text("SELECT id, kind, model, version, day FROM archives WHERE object IS NULL ORDER BY id")
            ).all()
        for batch in batches:
            path = _path(batch.kind, batch.model, batch.version, batch.day, f"{log}-{batch.id:012d}")
            with self._engine.connect().execution_options(yield_per=FETCHED) as connection:
                found = ([row] for row in _rows(connection, batch.kind, batch.id))
                rows = self.bucket.write(path, (_table(batch.kind, part) for part in in_parts(found)))
            with self._engine.begin() as connection:
                values = {"id": batch.id, "path": path, "rows": rows}
                if rows:
                    connection.execute(text("UPDATE archives SET object = :path, rows = :rows WHERE id = :id"), values)
                else:
                    # All of it changed meanwhile and waits for another batch.
                    connection.execute(text("DELETE FROM archives WHERE id = :id"), values)
            written[batch.kind] += rows


def in_parts(groups: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """Give rows in parts that fit into memory; the rows of a group are in one part."""
    part: list[dict[str, Any]] = []
    size = 0
    for group in groups:
        part += group
        size += sum(len(value) for row in group for value in row.values() if isinstance(value, str))
        if len(part) >= PART_ROWS or size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _rows(connection: Connection, kind: str, batch: int) -> Iterator[dict[str, Any]]:
    # Both tables have them; those of the join's own column are one.
    shared = (storing.COLUMNS.keys() & storing.ROWS.keys()) - {"request_id"} if kind == "predictions" else set()
    chosen = [
        f"{name}::text AS {name}" if type_ == "jsonb" else f"r.{name}" if name in shared else name
        for name, type_ in COLUMNS[kind].items()
    ]
    found = connection.execute(text(_READ[kind].format(columns=", ".join(chosen))), {"id": batch})
    return (dict(row) for row in found.mappings())


def _table(kind: str, rows: list[dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "jsonb": pa.string(),
        "timestamptz": pa.timestamp("us", tz="UTC"),
        "double precision": pa.float64(),
        "integer": pa.int32(),
        "boolean": pa.bool_(),
    }
    schema = pa.schema([(name, types[type_]) for name, type_ in COLUMNS[kind].items()])
    return pa.Table.from_pylist(rows, schema=schema)


def _path(kind: str, model: str, version: str, day: dt.date, name: str) -> str:
    def part(key: str, value: str) -> str:
        # Nothing that people chose may be a path.
        return f"{key}={quote(value, safe='').replace('.', '%2E')}"

    middle = [part("model", model), part("version", version)] if kind == "predictions" else []
    return "/".join([kind, *middle, part("day", day.isoformat()), f"{name}.parquet"])


def _parsed(path: str) -> File | None:
    """Return what the name of an object says; None for what is not ours."""
    kind, *parts, name = path.split("/")
    if not name.endswith(".parquet"):
        return None
    values = dict(_pairs(parts))
    try:
        day = dt.date.fromisoformat(values.get("day", ""))
    except ValueError:
        return None
    return File(path, kind, values.get("model", ""), values.get("version", ""), day)


def _pairs(parts: Iterable[str]) -> Iterator[tuple[str, str]]:
    for part in parts:
        key, _, value = part.partition("=")
        yield key, unquote(value)
