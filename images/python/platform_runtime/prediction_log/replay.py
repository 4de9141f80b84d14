"""Bring back: dead letters that can be read by now, and what the files have and the database has not."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, text

from platform_runtime.prediction_log import schema, truths
from platform_runtime.prediction_log.archive import Bucket, File, in_parts
from platform_runtime.prediction_log.canonical import digest
from platform_runtime.prediction_log.events import Event
from platform_runtime.prediction_log.storing import COLUMNS, Record, Store, content, load, save
from platform_runtime.prediction_log.writer import write_events, write_truths

__all__ = ["replay_archive", "replay_dead_letters"]

LETTERS = 50
"""In memory at once."""


def replay_dead_letters(engine: Engine, store: Store, since: dt.datetime, until: dt.datetime) -> dict[str, int]:
    """Try the dead letters of a time again; what is stored now is no dead letter any more.

    Who dies between storing and forgetting stores nothing twice: what is there already is a duplicate.
    """
    tried, last = 0, ""
    stored = 0
    while True:
        with engine.begin() as connection:
            letters = connection.execute(
                text(
                    "SELECT key, kind, letter FROM dead_letters WHERE at >= :since AND at < :until AND key > :last"
                    " ORDER BY key LIMIT :limit"
                ),
                {"since": since, "until": until, "last": last, "limit": LETTERS},
            ).all()
        if not letters:
            return {"letters": tried, "stored": stored}
        last, tried = letters[-1].key, tried + len(letters)
        events = [Event.unpack(bytes(found.letter)) for found in letters if found.kind != "truth"]
        rows = [orjson.loads(bytes(found.letter)) for found in letters if found.kind == "truth"]
        dead = write_events(engine, events, store).dead + write_truths(engine, rows, store).dead
        still = {store.letter_key(letter.letter) for letter in dead}
        gone = [found.key for found in letters if found.key not in still]
        with engine.begin() as connection:
            schema.lock(connection)
            connection.execute(text("DELETE FROM dead_letters WHERE key = ANY(:keys)"), {"keys": gone})
        stored += len(gone)


def replay_archive(
    engine: Engine, bucket: Bucket, *, model: str | None, version: str | None, since: dt.date, until: dt.date
) -> dict[str, int]:
    """Read files again and store what the database does not have. What it has stays as it is."""
    done: Counter[str] = Counter(files=0, restored=0, present=0, damaged=0, truths=0)
    # The newest first: what a later file says of a prediction is more.
    for file in bucket.find("predictions", model=model, version=version, since=since, until=until):
        size = bucket.rows(file.path)
        for part in in_parts(list(group) for _, group in groupby(bucket.read(file.path), itemgetter("request_id"))):
            with engine.begin() as connection:
                schema.lock(connection)
                done.update(_restore(connection, file, size, part))
        done["files"] += 1
    # Truths are filed by the day they came, and may be of requests of any day.
    for file in bucket.find("truths", model=None, version=None, since=since, until=dt.date.max):
        size = bucket.rows(file.path)
        for part in in_parts([row] for row in bucket.read(file.path)):
            rows = [
                {**row, "value": orjson.loads(row["value"]), "attributes": orjson.loads(row["attributes"])}
                for row in part
            ]
            deliveries = [row["delivery"] for row in rows]
            with engine.begin() as connection:
                schema.lock(connection)
                done["truths"] += truths.add(connection, rows)
                _file(connection, file, size, "UPDATE truths SET archive = :id WHERE delivery = ANY(:keys)", deliveries)
        done["files"] += 1
    return dict(done)


def _restore(connection: Connection, file: File, size: int, rows: Sequence[dict[str, Any]]) -> Counter[str]:
    records = {record.request_id: record for record in _records(rows)}
    present = load(connection, list(records)).keys()
    whole = {key: record for key, record in records.items() if digest(content(record.rows())) == record.content_digest}
    restored = [record for key, record in whole.items() if key not in present]
    save(connection, restored)
    keys = [record.request_id for record in restored]
    if keys:
        _file(connection, file, size, "UPDATE requests SET archive = :id WHERE request_id = ANY(:keys)", keys)
    return Counter(restored=len(restored), present=len(present), damaged=len(records) - len(whole))


def _records(rows: Iterable[dict[str, Any]]) -> Iterable[Record]:
    for _, group in groupby(rows, key=lambda row: row["request_id"]):
        of_one = list(group)
        record = Record(**{name: of_one[0][name] for name in COLUMNS})
        numbered = [row for row in of_one if row["row"] is not None]
        if record.request_event is not None:
            record.inputs = [orjson.loads(row["inputs"] or "null") for row in numbered]
        if record.response_event is not None:
            record.outputs = [orjson.loads(row["output"] or "null") for row in numbered]
        yield record


def _file(connection: Connection, file: File, rows: int, statement: str, keys: Sequence[str]) -> None:
    """Say that rows are in a file already: a restored database writes no second copy of it."""
    number = connection.execute(
        text(
            "INSERT INTO archives (kind, model, version, day, rows, object)"
            " VALUES (:kind, :model, :version, :day, :rows, :object)"
            " ON CONFLICT (object) DO UPDATE SET rows = EXCLUDED.rows RETURNING id"
        ),
        {
            "kind": file.kind,
            "model": file.model,
            "version": file.version,
            "day": file.day,
            "rows": rows,
            "object": file.path,
        },
    ).scalar_one()
    connection.execute(text(statement), {"id": number, "keys": list(keys)})
