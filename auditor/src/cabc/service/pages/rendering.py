"""Templates to answers: who is logged in, which links they get, errors as pages."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import BaseLoader, Environment, PackageLoader

from cabc.report import pages as report_pages
from cabc.report.tokens import stylesheet
from cabc.service.access import Permission
from cabc.service.problems import Problem
from cabc.service.sessions import SESSION_COOKIE, Session
from cabc.service.state import State

__all__ = ["error_page", "page", "page_environment", "style", "style_version"]


@cache
def page_environment(*loaders: BaseLoader) -> Environment:
    """Return the environment of the pages; templates of others are found after the service's own."""
    made = report_pages.environment(PackageLoader("cabc.service", "templates"), *loaders)
    made.globals.update(style_version=style_version())
    return made


@cache
def style() -> str:
    """Return the style sheet of the pages: the reports' and what only pages need."""
    return stylesheet() + (files("cabc.service") / "templates" / "service.css").read_text(encoding="utf-8")


@cache
def style_version() -> str:
    """Return a name for the style sheet's bytes, so that browsers may keep it for ever."""
    return hashlib.sha256(style().encode()).hexdigest()[:12]


def page(
    state: State,
    template: str,
    session: Session | None,
    *,
    status: int = 200,
    environment: Environment | None = None,
    **values: Any,
) -> HTMLResponse:
    """Return a rendered page, of another package where its environment is given."""
    principal = session.principal if session else None

    def may(permission: str, subject: str | None = None) -> bool:
        return principal is not None and principal.may(Permission(permission), subject)

    known = {
        "who": principal,
        "csrf": session.csrf if session else "",
        "may": may,
        "now": state.now(),
        "plugins": state.plugins,
    }
    text = (environment or page_environment()).get_template(template).render(known, **values)
    return HTMLResponse(text, status)


def error_page(request: Request, problem: Problem) -> Response:
    """Return a problem as a page."""
    state: State = request.app.state.cabc
    session = state.sessions.find(request.cookies.get(SESSION_COOKIE))
    return page(state, "error.html.j2", session, status=problem.status, problem=problem)
