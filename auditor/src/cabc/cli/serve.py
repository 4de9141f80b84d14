"""`cabc serve`: API, pages, webhooks, metrics and the runs behind them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, open_home

__all__ = ["register"]


class ServeRole(StrEnum):
    """The part of the audit that a process has."""

    ALL = "all"
    COLLECT = "collect"
    ASSESS = "assess"
    PUBLISH = "publish"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    home: HomeOption = DEFAULT_HOME,
    role: Annotated[
        ServeRole,
        typer.Option(
            help="All in one process, or one of three with database roles of their own: collect takes triggers and"
            " webhooks, assess judges and takes waivers and attestations, publish puts statuses out."
        ),
    ] = ServeRole.ALL,
    host: Annotated[str | None, typer.Option(help="Address to listen on; the settings' when not given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; the settings' when not given.")] = None,
) -> None:
    """Run the service: audits by schedule and trigger, API under /api/v1, pages, webhooks, /metrics."""
    from cabc.service.server import serve as run

    run(open_home(home), role=role.value, host=host, port=port)
