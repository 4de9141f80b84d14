"""Put events into the database, each exactly once, whatever order the two halves of a prediction come in.

What is in the database is read first and completed in memory; what is written afterwards is the whole record. One
transaction at a time does this, so nothing changes in between.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import orjson
from sqlalchemy import Connection, text

from platform_runtime.prediction_log.canonical import digest, keyed
from platform_runtime.prediction_log.decoding import Half, UndecodableError, decode
from platform_runtime.prediction_log.events import Event
from platform_runtime.prediction_log.marking import Marking

__all__ = [
    "COLUMNS",
    "ROWS",
    "DeadLetter",
    "Outcome",
    "Record",
    "Store",
    "content",
    "dead",
    "load",
    "save",
    "unreadable_truth",
]

QUESTIONS = 10_000
"""Requests without a body whose answers are still expected."""

NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)

COLUMNS = {
    "request_id": "text",
    "service": "text",
    "namespace": "text",
    "model": "text",
    "version": "text",
    "run_id": "text",
    "digest": "text",
    "protocol": "text",
    "at": "timestamptz",
    "answered_at": "timestamptz",
    "latency_ms": "double precision",
    "status": "integer",
    "content_digest": "text",
    "request_event": "text",
    "response_event": "text",
}
"""Of the table `requests`, with their types; `archive` is set by who archives."""

ROWS = {
    "request_id": "text",
    "row": "integer",
    "at": "timestamptz",
    "model": "text",
    "version": "text",
    "inputs": "jsonb",
    "output": "jsonb",
}
"""Of the table `predictions`."""


@dataclass
class Record:
    """One prediction, as far as it is known."""

    request_id: str
    service: str = ""
    namespace: str = ""
    model: str = ""
    version: str = ""
    run_id: str = ""
    digest: str = ""
    protocol: str = ""
    at: dt.datetime = NEVER
    answered_at: dt.datetime | None = None
    latency_ms: float | None = None
    status: int | None = None
    content_digest: str = ""
    request_event: str | None = None
    response_event: str | None = None
    inputs: list[Any] = field(default_factory=list)
    """One mapping per row; empty as long as the request is not known."""

    outputs: list[Any] = field(default_factory=list)
    """One value per row; empty as long as the answer is not known."""

    def add(self, half: Half, event: str) -> None:
        """Take over what a request or an answer says."""
        self.service, self.namespace = half.service or self.service, half.namespace or self.namespace
        self.protocol = self.protocol or half.protocol
        if half.kind == "request":
            self.at = half.at
            self.inputs = half.rows
            self.request_event = event
        else:
            self.answered_at = half.at
            self.outputs = half.rows
            self.response_event = event
            self.status = half.status
            if self.request_event is None:
                self.at = half.at
        if half.kind == "response" or self.response_event is None:
            # Who says its run knows who it is, also where it does not know its version; no annotation adds to that.
            certain = half.kind == "response" and (half.identity["run_id"] or half.identity["digest"])
            for name, value in half.identity.items():
                setattr(self, name, value if certain else value or getattr(self, name))
            self.model = self.model or self.service
        if self.request_event is not None and self.answered_at is not None:
            self.latency_ms = round((self.answered_at - self.at) / dt.timedelta(milliseconds=1), 3)

    def finish(self, marking: Marking) -> None:
        """Apply the rules, now that more may be known of what model it is, and compute the digest of what is stored."""
        rules = marking.rules(self.service, self.model)
        self.inputs = [marking.marked(_named(row), rules) for row in self.inputs]
        self.outputs = [marking.marked(row, rules) if isinstance(row, dict) else row for row in self.outputs]
        self.content_digest = digest(content(self.rows()))

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as the table `predictions` has them."""
        return [
            {
                "request_id": self.request_id,
                "row": number,
                "at": self.at,
                "model": self.model,
                "version": self.version,
                "inputs": inputs,
                "output": output,
            }
            for number, (inputs, output) in enumerate(zip_longest(self.inputs, self.outputs))
        ]

    def columns(self) -> dict[str, Any]:
        """Return the record as the table `requests` has it."""
        return {name: getattr(self, name) for name in COLUMNS}


@dataclass(frozen=True)
class DeadLetter:
    """Something that was accepted and cannot be stored."""

    kind: str
    request_id: str
    service: str
    reason: str
    at: dt.datetime
    letter: bytes


@dataclass
class Outcome:
    """What became of some events."""

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and `stored`, `duplicate`, `ignored` or `dead`."""

    rows: int = 0
    """Rows that were not there before."""

    dead: list[DeadLetter] = field(default_factory=list)


def content(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what a content digest is over: row number, inputs and output of every row."""
    return [{name: row[name] for name in ("row", "inputs", "output")} for row in rows]


class Store:
    """Puts events into the database."""

    def __init__(self, marking: Marking, key: bytes) -> None:
        self.marking = marking
        self._key = key
        self._questions: OrderedDict[str, None] = OrderedDict()

    def put(self, connection: Connection, events: Sequence[Event]) -> Outcome:
        """Store events, in the caller's transaction, which holds the lock."""
        outcome = Outcome()
        halves: list[tuple[Event, Half]] = []
        for event in self._without_questions(connection, events, outcome):
            try:
                halves.append((event, decode(event)))
            except UndecodableError as error:
                _kill(outcome, event, str(error))
        records = load(connection, sorted({half.id for _, half in halves}))
        known = {request_id: len(record.rows()) for request_id, record in records.items()}
        touched: dict[str, Record] = {}
        for event, half in halves:
            mark = keyed(self._key, event.type.encode(), event.time.encode(), event.service.encode(), event.body)
            record = records.setdefault(half.id, Record(half.id))
            before = record.request_event if half.kind == "request" else record.response_event
            other_service = record.service and (record.service, record.namespace) != (half.service, half.namespace)
            if before == mark:
                outcome.events[half.kind, "duplicate"] += 1
            elif before is not None or other_service:
                where = f"{record.namespace}/{record.service}, {record.at.isoformat()}"
                _kill(outcome, event, f"the id is taken by another {half.kind} ({where})")
            else:
                record.add(half, mark)
                touched[half.id] = record
                outcome.events[half.kind, "stored"] += 1
        for record in touched.values():
            record.finish(self.marking)
            outcome.rows += len(record.rows()) - known.get(record.request_id, 0)
        save(connection, list(touched.values()))
        self.bury(connection, outcome.dead)
        return outcome

    def bury(self, connection: Connection, letters: Sequence[DeadLetter]) -> None:
        """Keep dead letters; the same letter twice is one."""
        for letter in letters:
            connection.execute(
                text(
                    "INSERT INTO dead_letters (key, kind, request_id, service, reason, at, letter)"
                    " VALUES (:key, :kind, :request_id, :service, :reason, :at, :letter)"
                    " ON CONFLICT (key) DO UPDATE SET reason = EXCLUDED.reason"
                ),
                {"key": self.letter_key(letter.letter), **vars(letter)},
            )

    def letter_key(self, letter: bytes) -> str:
        """Return the key under which a letter is kept."""
        return keyed(self._key, letter)

    def _without_questions(self, connection: Connection, events: Sequence[Event], outcome: Outcome) -> Sequence[Event]:
        """Leave out what only asked about a model: a request without a body, and its answer.

        Who looks whether a model is there passes KServe's logger too, which tells nothing but the bodies.
        """
        asked = [event.id for event in events if event.kind == "request" and not event.body]
        if asked:
            self._questions.update(dict.fromkeys(asked))
            while len(self._questions) > max(QUESTIONS, len(asked)):
                self._questions.popitem(last=False)
            # An answer that was quicker than its question could not be read.
            connection.execute(
                text("DELETE FROM dead_letters WHERE kind = 'response' AND request_id = ANY(:ids)"), {"ids": asked}
            )
        kept = []
        for event in events:
            if event.id in self._questions and (event.kind == "response" or not event.body):
                outcome.events[event.kind, "ignored"] += 1
            else:
                kept.append(event)
        return kept


def load(connection: Connection, request_ids: Sequence[str]) -> dict[str, Record]:
    """Return the records with these ids that there are."""
    if not request_ids:
        return {}
    ids = {"ids": list(request_ids)}
    statement = f"SELECT {', '.join(COLUMNS)} FROM requests WHERE request_id = ANY(:ids)"  # noqa: S608 (own names)
    found = {row["request_id"]: Record(**row) for row in connection.execute(text(statement), ids).mappings()}
    if not found:
        return found
    for row in connection.execute(
        text(
            "SELECT request_id, inputs::text AS inputs, output::text AS output FROM predictions"
            " WHERE request_id = ANY(:ids) ORDER BY request_id, row"
        ),
        ids,
    ):
        record = found[row.request_id]
        if record.request_event is not None:
            record.inputs.append(orjson.loads(row.inputs or "null"))
        if record.response_event is not None:
            record.outputs.append(orjson.loads(row.output or "null"))
    return found


def save(connection: Connection, records: Sequence[Record]) -> None:
    """Write records as they are now; they wait to be archived again."""
    if not records:
        return
    kept = [name for name in COLUMNS if name != "request_id"]
    connection.execute(
        text(
            f"INSERT INTO requests ({', '.join(COLUMNS)}) SELECT * FROM {_recordset(COLUMNS)}"  # noqa: S608 (own names)
            f" ON CONFLICT (request_id) DO UPDATE SET archive = NULL, {_excluded(kept)}"
        ),
        {"batch": _json([record.columns() for record in records])},
    )
    connection.execute(
        text(
            f"INSERT INTO predictions ({', '.join(ROWS)}) SELECT * FROM {_recordset(ROWS)}"  # noqa: S608 (own names)
            f" ON CONFLICT (request_id, row) DO UPDATE SET {_excluded(list(ROWS)[2:])}"
        ),
        {"batch": _json([row for record in records for row in record.rows()])},
    )


def dead(event: Event, reason: str) -> DeadLetter:
    """Return the dead letter of an event."""
    return DeadLetter(event.kind, event.id, event.service, _printable(reason), event.at, event.pack())


def unreadable_truth(row: Mapping[str, Any], reason: str) -> DeadLetter:
    """Return the dead letter of a row of the table `truths`."""
    received = dt.datetime.fromisoformat(row["received_at"])
    return DeadLetter("truth", row["request_id"], "", _printable(reason), received, orjson.dumps(row))


def _printable(reason: str) -> str:
    return reason.replace("\0", "")[:1000]


def _kill(outcome: Outcome, event: Event, reason: str) -> None:
    outcome.events[event.kind, "dead"] += 1
    outcome.dead.append(dead(event, reason))


def _named(row: Any) -> Any:
    """Return a row of inputs with names: those of a list are `0`, `1`, … ."""
    return {str(number): value for number, value in enumerate(row)} if isinstance(row, list) else row


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


def _recordset(columns: dict[str, str]) -> str:
    types = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    return f"jsonb_to_recordset(CAST(:batch AS jsonb)) AS batch({types})"


def _excluded(names: Sequence[str]) -> str:
    return ", ".join(f"{name} = EXCLUDED.{name}" for name in names)
