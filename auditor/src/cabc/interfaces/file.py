"""`file`: a file below the connection's folder. Of a CSV or Parquet file only the column is kept as evidence."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, ClassVar

from cabc.document.interfaces import FileInterface
from cabc.interfaces.base import ExtractError, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.beneath import read_beneath
from cabc.interfaces.connections import FileConnection
from cabc.interfaces.extraction import extract, finish, pointed
from cabc.interfaces.parameters import fill_path
from cabc.interfaces.structured import parse_json, text_of

__all__ = ["COLUMN", "FilePlugin"]

COLUMN = "application/vnd.cabc.column+json"
"""Evidence of a column: the values as JSON, so that neither other columns nor a Parquet reader are needed later."""

_MEDIA = {"json": "application/json", "yaml": "application/yaml", "text": "text/plain"}
_SUFFIX = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".csv": "csv", ".parquet": "parquet"}
_ROWS = 5_000_000
_COLUMN_BYTES = 256_000_000


class FilePlugin:
    """Read beneath the folder, in a thread."""

    kind: ClassVar[str] = "file"
    spec: ClassVar[type[FileInterface]] = FileInterface
    connection: ClassVar[type[FileConnection]] = FileConnection

    async def retrieve(self, spec: FileInterface, connection: FileConnection, subject: SubjectFacts) -> Retrieved:
        return await asyncio.to_thread(_retrieve, spec, connection, fill_path(spec.path, subject))

    def extract(self, spec: FileInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        if media_type != COLUMN:
            return extract(spec, body, media_type)
        return finish(pointed(parse_json(body), "/values"), spec.reduce, spec.cast, several=True)

    async def close(self) -> None:
        """Hold nothing."""


def _retrieve(spec: FileInterface, connection: FileConnection, path: str) -> Retrieved:
    form = spec.format or _SUFFIX.get(PurePosixPath(path).suffix.lower(), "text")
    origin = f"file {path} of connection {spec.connection}"
    if form not in {"csv", "parquet"}:
        if spec.column is not None:
            msg = f"`column` needs a CSV or Parquet file, and this one is read as {form}"
            raise RetrieveError(msg)
        body = read_beneath(connection.root, path, connection.max_bytes)
        return Retrieved(body, _MEDIA[form], origin, {"sha256": hashlib.sha256(body).hexdigest()})
    if spec.column is None:
        msg = f"a {form} file needs `column`"
        raise RetrieveError(msg)
    table = read_beneath(connection.root, path, connection.max_file_bytes)
    try:
        values = _csv(table, spec.column) if form == "csv" else _parquet(table, spec.column)
    except ExtractError as error:
        raise RetrieveError(str(error)) from error
    body = json.dumps({"column": spec.column, "values": values}, separators=(",", ":")).encode()
    if len(body) > connection.max_bytes:
        msg = f"the column's {len(values)} values are more than {connection.max_bytes} bytes (the connection's limit)"
        raise RetrieveError(msg)
    return Retrieved(body, COLUMN, origin, {"sha256": hashlib.sha256(table).hexdigest(), "rows": str(len(values))})


def _csv(table: bytes, column: str) -> list[str]:
    rows = csv.reader(io.StringIO(text_of(table), newline=""), strict=True)
    try:
        names = next(rows, [])
        if names.count(column) != 1:
            msg = f"the file has {names.count(column)} columns named {column!r}; its columns: {', '.join(names[:20])}"
            raise ExtractError(msg)
        place, values = names.index(column), []
        for row in rows:
            if not row:
                continue
            if len(row) != len(names):
                msg = f"line {rows.line_num} has {len(row)} cells, the header has {len(names)}"
                raise ExtractError(msg)
            values.append(row[place])
    except csv.Error as error:
        msg = f"line {rows.line_num} is no CSV: {error}"
        raise ExtractError(msg) from error
    return values


def _parquet(table: bytes, column: str) -> list[Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        msg = "reading Parquet needs the extra `parquet` (pip install 'cabc[parquet]')"
        raise RetrieveError(msg) from error
    try:
        # Dictionary-coded: a page that repeats one long value a million times stays one long value.
        file = parquet.ParquetFile(pa.BufferReader(table), read_dictionary=[column])
        _measured(file.metadata, column)
        values: list[Any] = []
        size = 0
        for batch in file.iter_batches(batch_size=10_000, columns=[column]):
            cells = [_cell(cell) for cell in batch.column(0).to_pylist()]
            size += sum(len(cell) if isinstance(cell, str) else 8 for cell in cells)
            if size > _COLUMN_BYTES:
                msg = f"the column {column!r} unfolds to more than {_COLUMN_BYTES} bytes"
                raise ExtractError(msg)
            values += cells
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"the file is no Parquet that can be read: {type(error).__name__}"
        raise ExtractError(msg) from error
    return values


def _measured(metadata: Any, column: str) -> None:
    names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    if column not in names:
        msg = f"the file has no column {column!r}; its columns: {', '.join(names[:20])}"
        raise ExtractError(msg)
    place = names.index(column)
    size = sum(metadata.row_group(g).column(place).total_uncompressed_size for g in range(metadata.num_row_groups))
    if metadata.num_rows > _ROWS or size > _COLUMN_BYTES:
        msg = f"the column {column!r} has {metadata.num_rows} rows and unfolds to {size} bytes, which is too much"
        raise ExtractError(msg)


def _cell(cell: Any) -> Any:
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return cell if cell is None or isinstance(cell, bool | int | float | str) else str(cell)
