"""What turned out to be true: labels, feedback of people, business values, joined to predictions by the request's id.

A truth may come before its prediction, or for one that was never logged. A correction is another truth about the same
row; the one with the latest time counts.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

import orjson
import pydantic
from sqlalchemy import Connection, text

from platform_runtime.prediction_log.canonical import digest, holds_nul
from platform_runtime.prediction_log.times import EARLIEST, LATEST

__all__ = [
    "COLUMNS",
    "LARGEST",
    "MIME_CSV",
    "MIME_PARQUET",
    "MOST",
    "Kind",
    "TooManyError",
    "Truth",
    "TruthsError",
    "add",
    "from_file",
    "pack",
    "unpack",
]

MIME_CSV = "text/csv"
MIME_PARQUET = "application/vnd.apache.parquet"

ATTRIBUTE = "attribute."
"""Begins the columns of a file that are attributes."""

CHUNK = 500
"""Truths in one record of the spool."""

MOST = 50_000
"""Truths in one call: so many fit into the memory of a collector that has other work too."""

LARGEST = 32 << 20
"""Bytes that the truths of one call may take in the spool: half of what may wait for the disk."""

COLUMNS = {
    "request_id": "text",
    "row": "integer",
    "kind": "text",
    "value": "jsonb",
    "attributes": "jsonb",
    "at": "timestamptz",
    "received_at": "timestamptz",
    "source": "text",
    "reviewer": "text",
    "confidence": "double precision",
    "delivery": "text",
}
"""Of the table `truths`, with their types; the rest is set here and by who archives."""

Kind = Literal["label", "feedback", "business"]


def _storable(value: Any) -> Any:
    """Refuse what PostgreSQL would not take, while somebody is there to be told."""
    try:
        spelled = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        msg = f"cannot be written as JSON ({error})"
        raise ValueError(msg) from error
    if holds_nul(value, spelled):
        raise ValueError("holds the character NUL, which PostgreSQL does not store")
    return value


def _readable(at: dt.datetime) -> dt.datetime:
    if not EARLIEST <= at <= LATEST:
        msg = f"wanted a time from {EARLIEST.year} to {LATEST.year}"
        raise ValueError(msg)
    return at


Name = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Plain = Annotated[pydantic.JsonValue, pydantic.AfterValidator(_storable)]
Moment = Annotated[pydantic.AwareDatetime, pydantic.AfterValidator(_readable)]


class TruthsError(ValueError):
    """A file of truths cannot be read. The text names line and column."""


class TooManyError(Exception):
    """More truths than one call may bring. The text says how many may come."""

    def __init__(self) -> None:
        super().__init__(f"allowed are {MOST} truths and {LARGEST >> 20} MiB of them in one call: send them in parts")


class Truth(pydantic.BaseModel):
    """One thing that turned out to be true of one prediction."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    request_id: Name
    row: int | None = pydantic.Field(default=None, ge=0, lt=2**31)
    """Row of the request; none means all of them."""

    kind: Kind = "label"
    value: Plain
    """The label; what a person said; `{"name of a metric": number}` for business."""

    attributes: dict[Name, Plain] = pydantic.Field(default_factory=dict)
    """What else is known of the case, for example protected groups: `{"race": "white"}`."""

    at: Moment | None = None
    """When it became true; none means when it is received. The latest counts."""

    source: Name = "api"
    """Who says so: a system, a file, a form."""

    reviewer: Name | None = None
    """The person who decided."""

    confidence: float | None = pydantic.Field(default=None, ge=0, le=1)


def pack(truths: Iterable[Truth], received: dt.datetime) -> tuple[list[bytes], int]:
    """Return truths as they wait in the spool, and how many they are. Raises TooManyError.

    One that says its time may be sent again: it is known by all that it says. Others are new each time.
    """
    call = uuid.uuid4().hex
    packed: list[bytes] = []
    rows: list[dict[str, Any]] = []
    number = size = 0
    for number, truth in enumerate(truths, 1):
        said = truth.model_dump(mode="json")
        delivery = f"{call}/{number}" if truth.at is None else digest(said)
        rows.append({**said, "at": said["at"] or received, "received_at": received, "delivery": delivery})
        if len(rows) == CHUNK:
            packed.append(orjson.dumps(rows))
            rows = []
            size += len(packed[-1])
        if number > MOST or size > LARGEST:
            raise TooManyError
    if rows:
        packed.append(orjson.dumps(rows))
        size += len(packed[-1])
    if size > LARGEST:
        raise TooManyError
    return packed, number


def unpack(data: bytes) -> list[dict[str, Any]]:
    """Return rows of the table `truths`."""
    found: list[dict[str, Any]] = orjson.loads(data)
    return found


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Store truths, in the caller's transaction, and say which of each row count now; return how many were new."""
    types = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    # JSON's null is a value here, and would become SQL's on its way.
    found = ", ".join("coalesce(value, 'null')" if name == "value" else name for name in COLUMNS)
    statement = (
        f"INSERT INTO truths ({', '.join(COLUMNS)}) SELECT {found}"  # noqa: S608 (own names)
        f" FROM jsonb_to_recordset(CAST(:batch AS jsonb)) AS batch({types}) ON CONFLICT (delivery) DO NOTHING"
    )
    batch = orjson.dumps(list(rows)).decode()
    stored = connection.execute(text(statement), {"batch": batch}).rowcount
    connection.execute(
        text(
            "UPDATE truths SET superseded = ranked.place > 1, archive = NULL FROM ("
            "  SELECT id, row_number() OVER ("
            "    PARTITION BY request_id, row, kind ORDER BY at DESC, received_at DESC, id DESC) AS place"
            "  FROM truths WHERE request_id = ANY(:ids)) AS ranked"
            " WHERE truths.id = ranked.id AND truths.superseded <> (ranked.place > 1)"
        ),
        {"ids": sorted({row["request_id"] for row in rows})},
    )
    return stored


def from_file(data: bytes, content_type: str) -> Iterator[Truth]:
    """Read truths from CSV or Parquet: columns are the fields of a truth, and `attribute.<name>` for attributes.

    They come one by one: all of a file at once would take a hundred times its size. Raises TruthsError on the way.
    """
    rows: Iterable[dict[str, Any]]
    if content_type == MIME_CSV:
        rows = _csv(data)
    elif content_type == MIME_PARQUET:
        rows = _parquet(data)
    else:
        msg = f"content type {content_type or '(none)'}: wanted {MIME_CSV} or {MIME_PARQUET}"
        raise TruthsError(msg)
    for number, row in enumerate(rows, 1):
        attributes = {name.removeprefix(ATTRIBUTE): row.pop(name) for name in list(row) if name.startswith(ATTRIBUTE)}
        attributes = {name: value for name, value in attributes.items() if value is not None}
        try:
            yield Truth.model_validate({**row, "attributes": attributes})
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            msg = f"row {number}: {place}: {first['msg']}"
            raise TruthsError(msg) from error


def _csv(data: bytes) -> Iterable[dict[str, Any]]:
    try:
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")
        reader = csv.DictReader(text, strict=True)
        for row in reader:
            if None in row:
                msg = f"line {reader.line_num}: more values than columns"
                raise TruthsError(msg)
            # An empty field says nothing. Values may be any JSON, and what is none is a text.
            yield {
                name: _value(given) if name == "value" or name.startswith(ATTRIBUTE) else given
                for name, given in row.items()
                if given
            }
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"the file is no CSV in UTF-8: {error}"
        raise TruthsError(msg) from error


def _parquet(data: bytes) -> Iterable[dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        if file.metadata.num_rows > MOST:
            raise TooManyError
        # Few at a time: a long text is in the file once, however many rows have it.
        for batch in file.iter_batches(batch_size=16):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if not _is_missing(value)}
    except (pa.ArrowException, OSError) as error:
        msg = f"the file is no Parquet: {error}"
        raise TruthsError(msg) from error


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _value(given: str) -> Any:
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        return given
