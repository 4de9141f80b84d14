"""The monitor's HTTP server: metrics, reports, and a way to have it measure now."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pydantic
from fastapi import FastAPI, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST

from platform_runtime.model_monitor import exposition
from platform_runtime.model_monitor.report import Report

if TYPE_CHECKING:
    from platform_runtime.model_monitor.monitor import Monitor

__all__ = ["STUCK", "Asked", "Measured", "application"]

SAY = logging.getLogger("model_monitor")

STUCK = dt.timedelta(minutes=30)
"""A measurement that takes longer hangs: Kubernetes starts the server anew."""

GRACE = 20.0
"""Seconds that a measurement under way has when the server is told to stop; Kubernetes would wait for 30."""


class Asked(pydantic.BaseModel):
    """What to measure; nothing means everything that is served."""

    model_config = pydantic.ConfigDict(extra="forbid")
    model: str | None = None
    version: str | None = None


class Measured(pydantic.BaseModel):
    """What was measured; a version that did not answer within the window, or could not be measured, has no report."""

    reports: list[Report]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def application(monitor: Monitor, now: Callable[[], dt.datetime] = _now) -> FastAPI:
    """Return the server; while it runs, a thread measures at every interval."""
    stopped = threading.Event()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        thread = threading.Thread(target=_measure, args=(monitor, stopped), name="measuring", daemon=True)
        thread.start()
        yield
        stopped.set()
        # Python that ends while a thread computes in C++ aborts the process.
        await run_in_threadpool(thread.join, GRACE)

    server = FastAPI(title="Model monitor", lifespan=lifespan, docs_url=None, redoc_url=None)
    _answer_kubernetes(server, monitor, now)
    _answer_questions(server, monitor)
    return server


def _measure(monitor: Monitor, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            monitor.run()
        except Exception:  # noqa: BLE001 (logged with its place and counted)
            # The next measurement may go well; without this thread there would be none.
            SAY.exception("nothing can be measured")
            monitor.failures["measure"] += 1
        stopped.wait(monitor.settings.interval.total_seconds())


def _answer_kubernetes(server: FastAPI, monitor: Monitor, now: Callable[[], dt.datetime]) -> None:
    # Asynchronous, so that they are answered while every thread waits for a measurement.
    @server.get("/healthz")
    async def healthy() -> dict[str, str]:
        if now() - monitor.last_attempt > STUCK + monitor.settings.interval:
            raise HTTPException(503, f"nothing was measured since {monitor.last_attempt.isoformat()}")
        return {"status": "ok"}

    @server.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ok"}

    @server.get("/metrics")
    async def metrics() -> Response:
        return Response(exposition.text(monitor), media_type=CONTENT_TYPE_LATEST)


def _answer_questions(server: FastAPI, monitor: Monitor) -> None:
    @server.get("/v1/reports/{model}/{version}")
    def report(model: str, version: str) -> Report:
        found = monitor.report(model, version)
        if found is None:
            raise HTTPException(404, f"model {model} version {version} did not answer within the last window")
        return found

    @server.post("/v1/run")
    def run(asked: Asked | None = None) -> Measured:
        what = asked or Asked()
        return Measured(reports=monitor.run(what.model, what.version, store=True))
