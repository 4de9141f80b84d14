"""Every error of the service as a problem (RFC 9457), or as a page for people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cabc.document.base import Model
from cabc.engine.statements import StatementError
from cabc.errors import CabcError
from cabc.service.authentication import UnavailableError
from cabc.text import one_line

__all__ = ["MEDIA_TYPE", "FieldProblem", "Problem", "ProblemError", "add_problem_handlers", "problem_response"]

MEDIA_TYPE = "application/problem+json"

Page = Callable[[Request, "Problem"], Response]


class FieldProblem(Model):
    """One mistake in a request."""

    place: str
    """Where: `body.expires`, `query.limit`."""
    wanted: str


class Problem(Model):
    """What went wrong, for programs (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None
    """The id of the request, as in the log."""
    errors: list[FieldProblem] = []


class ProblemError(Exception):
    """The request cannot be answered as asked."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def add_problem_handlers(app: FastAPI, page: Page) -> None:
    """Answer errors of programs with problem+json, errors of people in a browser with a page."""

    def answer(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
        if wants_page(request):
            response = page(request, problem)
            response.headers.update(headers or {})
            return response
        return problem_response(problem, headers)

    async def own(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)  # noqa: S101 (registered for this type)
        return answer(request, _problem(request, error.status, error.detail), error.headers)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 (registered for this type)
        status = HTTPStatus(error.status_code)
        detail = None if error.detail == status.phrase else str(error.detail)
        return answer(request, _problem(request, error.status_code, detail), error.headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 (registered for this type)
        errors = [
            FieldProblem(place=".".join(map(str, item["loc"])), wanted=one_line(str(item["msg"])))
            for item in error.errors()
        ]
        return answer(request, _problem(request, 422, "The request has mistakes.", errors))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, CabcError)  # noqa: S101 (registered for this type)
        detail = one_line(f"{error}; {error.fix}" if error.fix else str(error), limit=500)
        return answer(request, _problem(request, 422 if isinstance(error, StatementError) else 409, detail))

    async def away(request: Request, _: Exception) -> Response:
        detail = "The identity provider cannot be asked; try again."
        return answer(request, _problem(request, 503, detail), {"Retry-After": "30"})

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        ProblemError: own,
        HTTPException: http,
        RequestValidationError: invalid,
        CabcError: refused,
        UnavailableError: away,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def wants_page(request: Request) -> bool:
    """Say whether a person is asking: a page was asked for, outside of the API."""
    machine = request.url.path.startswith(("/api/", "/hooks/"))
    return not machine and "text/html" in request.headers.get("accept", "")


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem as an answer."""
    body = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(
        body, problem.status, headers={**(headers or {}), "Cache-Control": "no-store"}, media_type=MEDIA_TYPE
    )


def _problem(request: Request, status: int, detail: str | None, errors: list[FieldProblem] | None = None) -> Problem:
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=f"urn:request:{getattr(request.state, 'request_id', 'none')}",
        errors=errors or [],
    )
