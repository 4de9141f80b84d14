"""The gate as a server: it looks in the background and answers what it knows."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from platform_runtime.conformity_gate.gate import Gate

__all__ = ["PORT", "Watch", "application"]

log = logging.getLogger("conformity_gate")

PORT = 8080
MOST = 500
"""Decisions in one answer."""

STUCK_SECONDS = 300
"""A look that takes longer will not end: every call has a time limit."""


class Watch:
    """Looks again and again, in a thread of its own."""

    def __init__(self, gate: Gate, interval: float) -> None:
        self._gate = gate
        self._interval = interval
        self._stopped = threading.Event()
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the look under way. One that is cut off is finished by the next process."""
        self._stopped.set()
        self._thread.join(timeout=20)

    @property
    def alive(self) -> bool:
        """Whether it still looks."""
        return self._thread.is_alive() and time.monotonic() - self._beat < self._interval + STUCK_SECONDS

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._gate.poll()
            except Exception:
                log.exception("a look failed")
            self._beat = time.monotonic()
            self._stopped.wait(self._interval)


def application(gate: Gate, watch: Watch) -> Starlette:
    """Return the ASGI application; the watch runs while it does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watch.start()
        yield
        watch.stop()

    def health(_: Request) -> Response:
        return JSONResponse({"status": "ok" if watch.alive else "failed"}, 200 if watch.alive else 503)

    def metrics(_: Request) -> Response:
        return Response(gate.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def decisions(request: Request) -> Response:
        found = gate.decisions(request.query_params.get("model"))
        return JSONResponse({"decisions": [each.plain() for each in found[:MOST]]})

    def models(_: Request) -> Response:
        return JSONResponse({"mode": gate.policy.mode.value, "models": sorted(gate.models.values(), key=_name)})

    # Somebody has to be able to read it while a source is away: nothing here waits for one.
    routes = {
        "/healthz": health,
        "/readyz": health,
        "/metrics": metrics,
        "/v1/decisions": decisions,
        "/v1/models": models,
    }
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in routes.items()], lifespan=lifespan)


def _name(told: dict[str, object]) -> str:
    return str(told["subject"])
