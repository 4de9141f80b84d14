"""Pages of installed packages: entry points `cabc.pages`, served where the settings name them.

The package says what is on them. Where they are and who comes in is said here: below their name, for people who are
logged in and programs with a token, both with the permission that the package asks for. What is wrong with one of them
costs its pages and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI

from cabc.service.access import Permission
from cabc.service.dependencies import allowed
from cabc.service.pages.login import SignedIn
from cabc.service.problems import ProblemError
from cabc.service.state import State

__all__ = ["GROUP", "RESERVED", "MakePages", "PluginPages", "add_plugins"]

GROUP = "cabc.pages"

RESERVED = frozenset(
    {"api", "assets", "healthz", "hooks", "login", "logout", "metrics", "readyz", "status", "subjects"}
)
"""Where the service's own pages are."""

log = structlog.stdlib.get_logger("cabc.service")


@dataclass(frozen=True, slots=True)
class PluginPages:
    """What a package adds to the service."""

    title: str
    """Word of the navigation."""

    permission: Permission
    """What somebody has to hold to come in; the package may ask for more, and for which subject."""

    pages: APIRouter = field(default_factory=APIRouter)
    """For people, below `/NAME`."""

    api: APIRouter = field(default_factory=APIRouter)
    """For programs, below `/api/v1/NAME`."""


MakePages = Callable[[State, Mapping[str, Any]], PluginPages]
"""What an entry point names: is given what the process holds and its own settings (`service.pages.NAME`)."""


def add_plugins(app: FastAPI, state: State) -> None:
    """Add the pages that the settings name; one that fails is left out, with the reason in the log."""
    installed = {point.name: point for point in entry_points(group=GROUP)}
    for name, settings in state.home.settings.service.pages.items():
        try:
            if name in RESERVED:
                log.error("pages left out", pages=name, reason="the service has pages of this name")
            elif name not in installed:
                log.error("pages left out", pages=name, reason="no installed package has them", known=sorted(installed))
            else:
                make: MakePages = installed[name].load()
                _add(app, state, name, make(state, settings))
        except Exception:
            # Code of others, read from the outside: whatever it raises must not keep the auditor from starting.
            log.exception("pages left out", pages=name)


def _add(app: FastAPI, state: State, name: str, made: PluginPages) -> None:
    app.include_router(
        made.pages, prefix=f"/{name}", include_in_schema=False, dependencies=[Depends(_who_may(made.permission))]
    )
    app.include_router(made.api, prefix=f"/api/v1/{name}", dependencies=[Depends(allowed(made.permission))])
    state.plugins[name] = made


def _who_may(permission: Permission) -> Callable[[SignedIn], None]:
    def check(session: SignedIn) -> None:
        if permission not in session.principal.permissions:
            raise ProblemError(403, f"This asks for the permission {permission}.")

    return check
