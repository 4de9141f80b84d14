"""`file`: a file below the connection's folder. Of a CSV or Parquet file only the column is kept as evidence."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping
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
        cells = _csv(table, spec.column) if form == "csv" else _parquet(table, spec.column)
        values = _few(cells, connection.max_bytes)
    except ExtractError as error:
        raise RetrieveError(str(error)) from error
    body = json.dumps({"column": spec.column, "values": values}, separators=(",", ":")).encode()
    return Retrieved(body, COLUMN, origin, {"sha256": hashlib.sha256(table).hexdigest(), "rows": str(len(values))})


def _few(cells: Iterator[Any], limit: int) -> list[Any]:
    """Take the values as long as they fit into the evidence; what unfolds to more is never held."""
    values, size = [], 0
    for cell in cells:
        size += len(cell) + 3 if isinstance(cell, str) else 2
        if size > limit:
            msg = f"the column's values are more than {limit} bytes (the connection's limit)"
            raise ExtractError(msg)
        values.append(cell)
    return values


def _csv(table: bytes, column: str) -> Iterator[str]:
    rows = csv.reader(io.StringIO(text_of(table), newline=""), strict=True)
    try:
        names = next(rows, [])
        if names.count(column) != 1:
            msg = f"the file has {names.count(column)} columns named {column!r}; its columns: {', '.join(names[:20])}"
            raise ExtractError(msg)
        place = names.index(column)
        for row in rows:
            if row and len(row) != len(names):
                msg = f"line {rows.line_num} has {len(row)} cells, the header has {len(names)}"
                raise ExtractError(msg)
            if row:
                yield row[place]
    except csv.Error as error:
        msg = f"line {rows.line_num} is no CSV: {error}"
        raise ExtractError(msg) from error


def _parquet(table: bytes, column: str) -> Iterator[Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        msg = "reading Parquet needs the extra `parquet` (pip install 'cabc[parquet]')"
        raise ExtractError(msg) from error
    try:
        # Dictionary-coded, so that a page which repeats one long value a million times stays one long value.
        metadata = parquet.read_metadata(pa.BufferReader(table))
        _measured(metadata, column)
        file = parquet.ParquetFile(pa.BufferReader(table), metadata=metadata, read_dictionary=[column])
        for batch in file.iter_batches(batch_size=4096, columns=[column]):
            cells = batch.column(0)
            if pa.types.is_dictionary(cells.type):
                words = cells.dictionary.to_pylist()
                yield from (None if index is None else _cell(words[index]) for index in cells.indices.to_pylist())
            else:
                yield from map(_cell, cells.to_pylist())
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"the file is no Parquet that can be read: {type(error).__name__}"
        raise ExtractError(msg) from error


def _measured(metadata: Any, column: str) -> None:
    """Judge the column by what the file says of itself, before any of it is unfolded."""
    from pyarrow import types

    names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    if column not in names or types.is_nested(metadata.schema.to_arrow_schema().field(column).type):
        msg = f"the file has no plain column {column!r}; its columns: {', '.join(names[:20])}"
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
