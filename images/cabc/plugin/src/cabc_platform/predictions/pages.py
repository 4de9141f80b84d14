"""The routes: a form and the last requests; of one of them a page, its JSON, and the export that can be verified."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal
from urllib.parse import quote

import structlog
from cabc.document.base import Model, Slug
from cabc.errors import CabcError
from cabc.interfaces.base import Connection
from cabc.interfaces.connections import HttpConnection
from cabc.service.access import Permission, Principal
from cabc.service.dependencies import Caller
from cabc.service.pages.login import SignedIn
from cabc.service.pages.rendering import page, page_environment
from cabc.service.plugins import PluginPages
from cabc.service.problems import ProblemError
from cabc.service.state import State
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import RedirectResponse
from jinja2 import Environment, PackageLoader

from cabc_platform.predictions.asking import Connected, archive, connection_of
from cabc_platform.predictions.bounds import Deadline, OneAtATime
from cabc_platform.trace.collecting import Sources, collect
from cabc_platform.trace.errors import InputError
from cabc_platform.trace.hops import Trace
from cabc_platform.trace.judging import judge
from cabc_platform.trace.page import prepared

__all__ = ["make"]

PERMISSION = Permission.READ_CONFIDENTIAL
"""Rows are a person's data, and the reasons of findings may be confidential."""

LISTED = 20
LIST_SECONDS = 5.0
"""The form is there without the last requests too."""

LONGEST = 200
"""Characters of an id that the prediction log takes."""

PRIVATE = {"Cache-Control": "no-store"}

log = structlog.stdlib.get_logger("cabc_platform.predictions")

Request = Annotated[str, Path(min_length=1, max_length=LONGEST, description="Id of the request, as the log has it.")]
Row = Annotated[int | None, Query(ge=0, le=10**9, description="One row of the request; all when not given.")]
Format = Annotated[Literal["json", "zip"], Query(description="The trace, or all that was collected for it.")]


class Settings(Model):
    """Names of connections; a hop whose connection is not named is shown as missing."""

    prediction_log: Slug
    registry: Slug | None = None
    infrastructure: Slug | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One of the last requests."""

    id: str
    model: str
    version: str
    at: dt.datetime | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace, and what it is made of where that was asked for."""

    trace: Trace
    text: str = ""
    export: bytes = b""
    manifest: str | None = None


def make(state: State, told: Mapping[str, Any]) -> PluginPages:
    """Return the pages of predictions (entry point of `cabc.pages`)."""
    desk = _Desk(state, Settings.model_validate_json(json.dumps(told)))
    return PluginPages("Predictions", PERMISSION, pages=_pages(desk), api=_api(desk))


class _Desk:
    """Who is asked for a trace, whichever way somebody came."""

    def __init__(self, state: State, settings: Settings) -> None:
        self.state = state
        self._settings = settings
        self._turn = OneAtATime()

    def last(self, by: Principal) -> list[Listed]:
        """Return the last requests of the models that somebody may see. Raises TraceError."""
        log_, _, _ = self._connections()
        with Connected([log_], Deadline(LIST_SECONDS)) as services:
            models: list[str | None] = [None] if "*" in by.subjects else [*sorted(by.subjects)]
            found: list[Any] = []
            for model in models[:LISTED]:
                query = {"limit": str(LISTED), **({"model": model} if model else {})}
                found += services.ask(log_.url, "/v1/requests", query=query) or []
        seen = [_listed(each) for each in found]
        return sorted(seen, key=lambda each: str(each.at), reverse=True)[:LISTED]

    async def trace(self, by: Principal, request: str, row: int | None, wanted: str) -> Traced:
        """Return the trace of a request that somebody may see, and write down that they did."""
        self.state.part("assess")
        try:
            found = await self._turn.run(lambda: self._trace(by, request, row, wanted))
        except InputError as error:
            log.info("prediction not shown", caller=by.name, prediction=request, wanted=wanted)
            # The same answer for a request that is not there and one that is somebody else's.
            raise ProblemError(404, "There is no request of this id in the log that you may see.") from error
        log.info(
            "prediction shown", caller=by.name, prediction=request, row=row, wanted=wanted, manifest=found.manifest
        )
        return found

    def _trace(self, by: Principal, request: str, row: int | None, wanted: str) -> Traced:
        deadline, whole = Deadline(), wanted == "zip"

        def permit(model: str) -> None:
            if not by.may(PERMISSION, model):
                raise InputError("it is not theirs")
            if whole and not by.may(Permission.READ_EVIDENCE, model):
                # The auditor's record is in it, with the evidence.
                raise ProblemError(403, f"The export asks for the permission {Permission.READ_EVIDENCE}.")

        log_, registry, infrastructure = self._connections()
        with Connected([log_, registry], deadline) as services:
            sources = Sources(
                services=services,
                prediction_log=log_.url,
                mlflow=registry.url if registry else None,
                auditor=(self.state.home.settings.service.public_url or "").rstrip("/"),
                export=lambda subject: archive(self.state, subject, deadline, whole=whole),
                evidence=lambda: services.evidence(infrastructure),
            )
            collected = collect(sources, request, stack=None, permit=permit)
        trace = judge(collected, row)
        if wanted == "html":
            return Traced(trace)
        if wanted == "json":
            return Traced(trace, text=json.dumps(trace.plain(), indent=1, ensure_ascii=False))
        export, manifest = collected.pack(trace.plain())
        return Traced(trace, export=export, manifest=manifest)

    def _connections(self) -> tuple[HttpConnection, HttpConnection | None, Connection | None]:
        """Return the connections as they are now: their file may have changed since the start."""
        known = self.state.home.read_connections()
        log_ = connection_of(known, self._settings.prediction_log, HttpConnection)
        assert log_ is not None  # noqa: S101 (the settings have to name it)
        registry = connection_of(known, self._settings.registry, HttpConnection)
        return log_, registry, connection_of(known, self._settings.infrastructure, Connection)


def _pages(desk: _Desk) -> APIRouter:
    router = APIRouter()

    @router.get("")
    def form(
        session: SignedIn,
        request: Annotated[str, Query(max_length=LONGEST)] = "",
        row: Annotated[str, Query(pattern="^[0-9]{0,9}$")] = "",
    ) -> Response:
        """Show the form and the last requests, or lead to the page of the one that was asked for."""
        if request.strip():
            return RedirectResponse(f"/predictions/{quote(request.strip())}{f'?row={row}' if row else ''}", 303)
        desk.state.part("assess")
        last: list[Listed] = []
        trouble = None
        try:
            last = desk.last(session.principal)
        except CabcError as error:
            trouble = str(error)
        made = page(desk.state, "predictions.html.j2", session, environment=_environment(), last=last, trouble=trouble)
        made.headers.update(PRIVATE)
        return made

    @router.get("/{request:path}")
    async def prediction(
        request: Request,
        session: SignedIn,
        row: Row = None,
        format: Literal["html", "json", "zip"] = "html",  # noqa: A002 (what people know the parameter as)
    ) -> Response:
        found = await desk.trace(session.principal, request, row, format)
        if format != "html":
            return _file(found, request)
        made = page(
            desk.state,
            "prediction.html.j2",
            session,
            environment=_environment(),
            trace=found.trace,
            exports=session.principal.may(Permission.READ_EVIDENCE),
        )
        made.headers.update(PRIVATE)
        return made

    return router


def _api(desk: _Desk) -> APIRouter:
    router = APIRouter()

    @router.get("/{request:path}")
    async def prediction(
        request: Request,
        caller: Caller,
        row: Row = None,
        format: Format = "json",  # noqa: A002 (what people know the parameter as)
    ) -> Response:
        """Follow one prediction to its model, data, status and infrastructure of then."""
        return _file(await desk.trace(caller, request, row, format), request)

    return router


def _file(found: Traced, request: str) -> Response:
    if not found.export:
        return Response(found.text, media_type="application/json", headers=PRIVATE)
    name = "".join(each if each.isascii() and (each.isalnum() or each in "-._") else "-" for each in request)
    return Response(
        found.export,
        media_type="application/zip",
        headers={
            **PRIVATE,
            "Content-Disposition": f'attachment; filename="prediction-{name}.zip"',
            "X-Manifest-Digest": str(found.manifest),
        },
    )


def _listed(told: Mapping[str, Any]) -> Listed:
    at = None
    with suppress(ValueError):
        at = dt.datetime.fromisoformat(str(told.get("at")))
    status = told.get("status")
    return Listed(
        id=str(told.get("request_id", "")),
        model=str(told.get("model") or ""),
        version=str(told.get("version") or ""),
        at=at,
        status=status if isinstance(status, int) else None,
    )


@cache
def _environment() -> Environment:
    return prepared(
        page_environment(
            PackageLoader("cabc_platform.predictions", "templates"), PackageLoader("cabc_platform.trace", "templates")
        )
    )
