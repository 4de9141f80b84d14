"""The thread that moves events from the spool into the database, and waits for it however long it is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from platform_runtime.prediction_log import metrics, schema, truths
from platform_runtime.prediction_log.events import Event
from platform_runtime.prediction_log.spool import Position, Spool
from platform_runtime.prediction_log.storing import Outcome, Store, dead, unreadable_truth

__all__ = ["EVENT", "TRUTHS", "Writer", "write_events", "write_truths"]

EVENT, TRUTHS = b"e", b"t"
"""The first byte of a record says what it is."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two attempts while the database is away."""

Item = TypeVar("Item")

log = logging.getLogger("prediction_log")


class Writer(threading.Thread):
    """Reads the spool, writes the database, and only then lets the spool forget."""

    def __init__(self, spool: Spool, engine: Engine, store: Store, reader: str) -> None:
        super().__init__(name="writer", daemon=True)
        self._spool = spool
        self._engine = engine
        self._store = store
        self._reader = reader
        self._stopped = threading.Event()
        self.upgraded = threading.Event()
        """Set when the tables exist."""

    def run(self) -> None:
        position, pause, told = Position(), FIRST_PAUSE, ""
        while not self._stopped.is_set():
            try:
                if not self.upgraded.is_set():
                    with self._engine.begin() as connection:
                        schema.upgrade(connection, self._reader)
                    self.upgraded.set()
                position = self._step(position)
            except Exception as error:  # events wait in the spool, whatever it is
                metrics.DATABASE_UP.set(0)
                metrics.WRITE_FAILURES.inc()
                if told != (told := str(getattr(error, "orig", error)).strip()):
                    # What no database says is a mistake of ours, and its place is worth knowing.
                    ours = not isinstance(error, SQLAlchemyError)
                    log.warning("the database cannot be written to, events wait: %s", told, exc_info=ours)
                self._stopped.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                metrics.DATABASE_UP.set(1)
                pause, told = FIRST_PAUSE, ""

    def stop(self) -> None:
        """End after the transaction under way."""
        self._stopped.set()
        self.join(timeout=20)

    def _step(self, position: Position) -> Position:
        """Move some records; return the position after them."""
        records, after = self._spool.read(position)
        if not records:
            self._spool.wait(1)
            return position
        events = [Event.unpack(record[1:]) for record in records if record[:1] == EVENT]
        rows = [row for record in records if record[:1] == TRUTHS for row in truths.unpack(record[1:])]
        for outcome in (
            write_events(self._engine, events, self._store),
            write_truths(self._engine, rows, self._store),
        ):
            for (kind, what), number in outcome.events.items():
                metrics.EVENTS.labels(kind, what).inc(number)
            metrics.ROWS.inc(outcome.rows)
        self._spool.release(after, len(records))
        return after


def write_events(engine: Engine, events: Sequence[Event], store: Store) -> Outcome:
    """Store events in one transaction; one that the database refuses becomes a dead letter."""

    def write(some: Sequence[Event]) -> Outcome:
        with engine.begin() as connection:
            schema.lock(connection)
            return store.put(connection, some)

    def give_up(event: Event, reason: str) -> Outcome:
        outcome = Outcome(dead=[dead(event, reason)])
        outcome.events[event.kind, "dead"] = 1
        return _buried(engine, outcome, store)

    return _divided(events, write, give_up)


def write_truths(engine: Engine, rows: Sequence[dict[str, Any]], store: Store) -> Outcome:
    """Store truths in one transaction; one that the database refuses becomes a dead letter."""

    def write(some: Sequence[dict[str, Any]]) -> Outcome:
        outcome = Outcome()
        with engine.begin() as connection:
            schema.lock(connection)
            stored = truths.add(connection, some)
        outcome.events.update({("truth", "stored"): stored, ("truth", "duplicate"): len(some) - stored})
        return outcome

    def give_up(row: dict[str, Any], reason: str) -> Outcome:
        outcome = Outcome(dead=[unreadable_truth(row, reason)])
        outcome.events["truth", "dead"] = 1
        return _buried(engine, outcome, store)

    return _divided(rows, write, give_up)


def _divided(
    items: Sequence[Item], write: Callable[[Sequence[Item]], Outcome], give_up: Callable[[Item, str], Outcome]
) -> Outcome:
    """Write all items at once; where that fails because of one of them, halve until it is found."""
    if not items:
        return Outcome()
    try:
        return write(items)
    # The last two are the driver's, about values that the database has and Python has not.
    except (DataError, IntegrityError, RecursionError, ValueError, ArithmeticError) as error:
        if len(items) == 1:
            return give_up(items[0], f"the database refuses it: {error}")
    middle = len(items) // 2
    total = Outcome()
    for part in (items[:middle], items[middle:]):
        outcome = _divided(part, write, give_up)
        total.events.update(outcome.events)
        total.rows += outcome.rows
        total.dead += outcome.dead
    return total


def _buried(engine: Engine, outcome: Outcome, store: Store) -> Outcome:
    with engine.begin() as connection:
        schema.lock(connection)
        store.bury(connection, outcome.dead)
    return outcome
