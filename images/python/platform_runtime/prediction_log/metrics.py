"""What the collector tells Prometheus. Names are read by rules, dashboards and the auditor."""

from __future__ import annotations

import math

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "APPEND",
    "ARCHIVED",
    "ARCHIVE_FAILURES",
    "DATABASE_UP",
    "DEAD_LETTERS",
    "EVENTS",
    "LAST_EVENT",
    "OLDEST",
    "REASONS",
    "REFUSED",
    "ROWS",
    "SPOOLED",
    "SPOOL_BYTES",
    "SPOOL_LIMIT",
    "UNMATCHED",
    "WRITE_FAILURES",
    "saw",
]

EVENTS = Counter(
    "prediction_log_events",
    "Events by kind (request, response, truth, other) and outcome: accepted is durable in the spool, refused was never"
    " acknowledged; stored, duplicate, dead and ignored (no prediction) is what became of accepted ones.",
    ["kind", "outcome"],
)
REFUSED = Counter("prediction_log_refused", "Calls that were not acknowledged, by reason.", ["reason"])
REASONS = ("no event", "too large", "busy", "slow", "spool full", "disk full", "disk")
"""Of a refusal. The last five lose what should have been taken."""
ROWS = Counter("prediction_log_stored_rows", "Rows of predictions that are in the database.")
SPOOLED = Gauge("prediction_log_spooled_events", "Events that are durable and not in the database yet.")
SPOOL_BYTES = Gauge("prediction_log_spool_bytes", "Size of the spool.")
SPOOL_LIMIT = Gauge("prediction_log_spool_limit_bytes", "Size above which events are refused.")
OLDEST = Gauge("prediction_log_spool_oldest_seconds", "How long the oldest event has waited for the database.")
APPEND = Histogram(
    "prediction_log_append_seconds",
    "From an event's last byte to its acknowledgement.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
DATABASE_UP = Gauge("prediction_log_database_up", "Whether the last attempt to write to the database succeeded.")
WRITE_FAILURES = Counter(
    "prediction_log_write_failures", "Attempts to move events into the database that failed; they are made again."
)
LAST_EVENT = Gauge(
    "prediction_log_last_event_timestamp_seconds",
    "When a service was last heard of.",
    ["inference_namespace", "inference_service"],
)
DEAD_LETTERS = Gauge("prediction_log_dead_letters", "Accepted events that could not be read, and are kept.")
# Not known until they are counted: none would look like an increase after every restart.
DEAD_LETTERS.set(math.nan)
UNMATCHED = Gauge("prediction_log_unmatched_truths", "Truths whose request is not in the log, or not yet.")
ARCHIVED = Counter("prediction_log_archived_rows", "Rows written to Parquet files.", ["kind"])
ARCHIVE_FAILURES = Counter("prediction_log_archive_failures", "Attempts to write Parquet files that failed.")

for _kind in ("request", "response", "truth", "other"):
    for _outcome in ("accepted", "refused", "stored", "duplicate", "dead", "ignored"):
        EVENTS.labels(_kind, _outcome)

# A series that begins with its first event has no increase to be alerted of.
for _reason in REASONS:
    REFUSED.labels(_reason)

SERVICES = 500
"""Services that have a series of their own: names come from events, and anybody may invent some."""

_seen: set[tuple[str, str]] = set()


def saw(namespace: str, service: str, at: float) -> None:
    """Remember when a service was last heard of."""
    if len(_seen) < SERVICES:
        _seen.add((namespace, service))
    if (namespace, service) in _seen:
        LAST_EVENT.labels(namespace, service).set(at)
