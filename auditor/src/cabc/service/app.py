"""The service as one ASGI application: API, pages, webhooks, metrics, and the work behind them."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from cabc.document.durations import parse_duration
from cabc.home import Home
from cabc.record.store import Record
from cabc.service import api, operations, pages
from cabc.service.authentication import Authenticator
from cabc.service.documents import Documents
from cabc.service.metrics import Metrics
from cabc.service.middleware import EntityTags, RequestContext
from cabc.service.openapi import describe
from cabc.service.pages.login import SignInError, secure
from cabc.service.pages.rendering import error_page
from cabc.service.plugins import add_plugins
from cabc.service.problems import add_problem_handlers
from cabc.service.sessions import Sessions
from cabc.service.state import ProcessRole, State
from cabc.service.worker import Steps, Watcher, Worker

__all__ = ["GRACE", "create_app"]

GRACE = 25.0
"""Seconds that runs have to finish when the process is told to stop; Kubernetes kills after 30."""


def utc_now() -> dt.datetime:
    """Return this moment."""
    return dt.datetime.now(dt.UTC)


def create_app(
    home: Home,
    *,
    role: ProcessRole = "all",
    now: Callable[[], dt.datetime] = utc_now,
    record: Record | None = None,
    steps: Callable[[State], Steps] | None = None,
    work: bool = True,
) -> FastAPI:
    """Return the service for a home folder.

    `role` is the part this process has; `record` and `steps` replace the home's own (for tests); without `work` it
    answers and starts nothing by itself.
    """
    state = _state(home, role, now, record, steps)
    app = FastAPI(
        title="cabc",
        version=version("cabc"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(work=work),
    )
    app.state.cabc = state
    app.add_middleware(EntityTags)
    app.add_middleware(RequestContext, secure=secure(state))
    add_problem_handlers(app, error_page)
    app.add_exception_handler(SignInError, _to_login)
    app.include_router(api.router)
    app.include_router(operations.router)
    app.include_router(pages.router)
    add_plugins(app, state)

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, object]:
        return describe(app, home.settings.service)

    return app


def _state(
    home: Home,
    role: ProcessRole,
    now: Callable[[], dt.datetime],
    record: Record | None,
    steps: Callable[[State], Steps] | None,
) -> State:
    if record is None:
        record = home.record(role)
    documents = Documents([home.path(name) for name in home.settings.documents], record)
    state = State(
        home=home,
        role=role,
        record=record,
        now=now,
        documents=documents,
        authenticator=Authenticator(home.settings.service),
        sessions=Sessions(now),
    )
    state.metrics = Metrics(record, state.subjects, now, home.settings.service.webhooks)
    if steps is None:
        from cabc.service.steps import engine_steps

        steps = engine_steps
    state.worker = Worker(
        steps=steps(state),
        documents=documents,
        subjects=state.subjects,
        metrics=state.metrics,
        poll=parse_duration(home.settings.service.poll).total_seconds(),
        watchers=_watchers(state),
    )
    return state


def _watchers(state: State) -> Sequence[Watcher]:
    told = state.home.settings.service.watch_inference_services
    if not told or state.role not in {"all", "collect"}:
        return ()
    from cabc.service.watching import inference_services

    return [inference_services(state, place) for place in ([None] if told is True else dict.fromkeys(told))]


def _lifespan(*, work: bool) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state: State = app.state.cabc
        if work:
            await state.worker.start()
        try:
            yield
        finally:
            await state.worker.stop(GRACE)

    return lifespan


async def _to_login(_: Request, error: Exception) -> Response:
    assert isinstance(error, SignInError)  # noqa: S101 (registered for this type)
    from urllib.parse import quote

    return RedirectResponse(f"/login?next={quote(error.where, safe='/')}", 303)
