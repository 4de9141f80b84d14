"""The thread that archives, counts, and removes what is older than it is kept."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time

from sqlalchemy import Engine, text

from platform_runtime.prediction_log import metrics
from platform_runtime.prediction_log.archive import Archive
from platform_runtime.prediction_log.settings import Settings

__all__ = ["Housekeeping", "retain"]

RETENTION_SECONDS = 3600.0
"""How often old rows and files are removed."""

CHUNK = 5000
"""Rows removed in one transaction, so that events need not wait long."""

_OLD = {
    "requests": "request_id IN (SELECT request_id FROM requests JOIN archives ON archives.id = archive"
    " WHERE at < :rows AND object IS NOT NULL LIMIT :chunk)",
    "truths": "id IN (SELECT truths.id FROM truths JOIN archives ON archives.id = archive"
    " WHERE received_at < :rows AND object IS NOT NULL LIMIT :chunk)",
    "dead_letters": "key IN (SELECT key FROM dead_letters WHERE at < :letters LIMIT :chunk)",
}
"""What is removed from each table. A row that is in no file yet is never old."""

log = logging.getLogger("prediction_log")


class Housekeeping(threading.Thread):
    """Works every few minutes; what fails is tried again the next time."""

    def __init__(self, engine: Engine, archive: Archive, settings: Settings, upgraded: threading.Event) -> None:
        super().__init__(name="housekeeping", daemon=True)
        self._engine = engine
        self._archive = archive
        self._settings = settings
        self._upgraded = upgraded
        self._stopped = threading.Event()
        self._retained = -RETENTION_SECONDS

    def run(self) -> None:
        while not self._stopped.wait(self._settings.archive_seconds):
            if not self._upgraded.is_set():
                continue
            try:
                self._keep()
            except Exception as error:  # noqa: BLE001 (whatever it is, rows stay in the database until the next time)
                metrics.ARCHIVE_FAILURES.inc()
                log.warning("archiving failed and is tried again: %s", _told(error))
            try:
                self._count()
            except Exception as error:  # noqa: BLE001 (a number that is not known keeps nobody from working)
                log.warning("dead letters and truths could not be counted: %s", _told(error))

    def stop(self) -> None:
        """End; a file that is being written gets its time."""
        self._stopped.set()
        self.join(timeout=30)

    def _keep(self) -> None:
        for kind, rows in self._archive.run().items():
            metrics.ARCHIVED.labels(kind).inc(rows)
        if time.monotonic() - self._retained >= RETENTION_SECONDS:
            retain(self._engine, self._archive, self._settings, dt.datetime.now(dt.UTC))
            self._retained = time.monotonic()

    def _count(self) -> None:
        with self._engine.connect() as connection:
            metrics.DEAD_LETTERS.set(connection.execute(text("SELECT count(*) FROM dead_letters")).scalar_one())
            unmatched = "SELECT count(*) FROM truths LEFT JOIN requests USING (request_id) WHERE service IS NULL"
            metrics.UNMATCHED.set(connection.execute(text(unmatched)).scalar_one())


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip()[:500]}"


def retain(engine: Engine, archive: Archive, settings: Settings, now: dt.datetime) -> dict[str, int]:
    """Remove what is older than it is kept; return how much, by table and for files."""
    values = {
        "rows": now - dt.timedelta(days=settings.retention_days),
        "letters": now - dt.timedelta(days=settings.dead_letter_days),
        "chunk": CHUNK,
    }
    removed = dict.fromkeys([*_OLD, "files"], 0)
    for table, old in _OLD.items():
        while True:
            with engine.begin() as connection:
                statement = f"DELETE FROM {table} WHERE {old}"  # noqa: S608 (own names)
                needed = {name: value for name, value in values.items() if f":{name}" in statement}
                gone = connection.execute(text(statement), needed).rowcount
            removed[table] += gone
            if gone < CHUNK:
                break
    with engine.connect() as connection:
        files = connection.execute(
            text("SELECT id, object FROM archives WHERE day < :day AND object IS NOT NULL ORDER BY id"),
            {"day": (now - dt.timedelta(days=settings.archive_days)).date()},
        ).all()
    for file in files:
        archive.bucket.delete(file.object)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM archives WHERE id = :id"), {"id": file.id})
        removed["files"] += 1
    return removed
