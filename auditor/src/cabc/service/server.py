"""The process: uvicorn around the application, logs as JSON, an end that loses nothing."""

from __future__ import annotations

import signal

import structlog
import uvicorn

from cabc.home import Home
from cabc.service import logs
from cabc.service.app import GRACE, create_app
from cabc.service.state import ProcessRole

__all__ = ["serve"]

log = structlog.stdlib.get_logger("cabc.service")


def serve(home: Home, *, role: ProcessRole = "all", host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT; then finish what runs, or give it back."""
    logs.configure()
    settings = home.settings.service
    if not settings.tokens and settings.oidc is None:
        log.warning("nobody can log in: service.tokens is empty and service.oidc is not set; see `cabc token`")
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn ends politely and then raises the signal again, which would make a good end look like a bad one.
        signal.signal(number, lambda *_: None)
    uvicorn.Server(
        uvicorn.Config(
            create_app(home, role=role),
            host=host or settings.host,
            port=settings.port if port is None else port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(GRACE),
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=32 * 1024,
            limit_concurrency=200,
            lifespan="on",
        )
    ).run()
