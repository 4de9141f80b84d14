"""Predictions and truths that are in a log, written as its collector writes them."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import sqlalchemy
from platform_runtime.prediction_log import truths
from platform_runtime.prediction_log.events import from_http
from platform_runtime.prediction_log.marking import Marking
from platform_runtime.prediction_log.storing import Store
from platform_runtime.prediction_log.writer import write_events, write_truths

from tests.support.prediction_log import answer, ask, headers

__all__ = ["KEY", "STORE", "log", "tell"]


KEY = b"0123456789abcdef"
STORE = Store(Marking({}, KEY), KEY)


def log(
    engine: sqlalchemy.Engine, *request_ids: str, kinds: tuple[str, ...] = ("request", "response"), **named: Any
) -> None:
    """Store predictions of two rows each."""
    bodies = {"request": ask(rows=2), "response": {**answer(rows=2), **named}}
    events = [
        event
        for request_id in request_ids
        for kind in kinds
        for event in from_http(
            [(name.encode(), value.encode()) for name, value in headers(kind, request_id).items()],
            json.dumps(bodies[kind]).encode(),
            time.time(),
        )
    ]
    write_events(engine, events, STORE)


def tell(engine: sqlalchemy.Engine, request_id: str, value: Any) -> None:
    truth = truths.Truth(request_id=request_id, value=value, attributes={"race": "a"})
    rows = [row for record in truths.pack([truth], dt.datetime.now(dt.UTC))[0] for row in truths.unpack(record)]
    write_truths(engine, rows, STORE)
