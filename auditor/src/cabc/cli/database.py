"""`cabc retain`, `cabc migrate`, `cabc roles`: what the owner of the database does."""

from __future__ import annotations

from typing import Annotated

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, JsonOption, open_home

__all__ = ["register"]


UrlOption = Annotated[
    str | None, typer.Option("--url", help="Database URL, env:NAME or file:PATH; the home's setting without.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("retain")(retain)
    app.command("migrate")(migrate)
    app.command("roles")(roles)


def retain(
    home: HomeOption = DEFAULT_HOME,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be dropped; drop nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Drop evidence and observations that the settings' retention no longer keeps; a signed entry says what and why."""
    import datetime as dt

    from cabc.record.retention import plan_retention
    from cabc.record.retention import retain as drop

    place = open_home(home)
    policy = place.settings.retention
    now = dt.datetime.now(dt.UTC)
    with place.record() as record:
        act = plan_retention if dry_run else drop
        done = act(record, evidence=policy.evidence, observations=policy.observations, now=now)
    if as_json:
        typer.echo(done.model_dump_json(indent=2) if done else "null")
        return
    observations = sum(gone.count for gone in done.bodies) if done else 0
    verb = "would drop" if dry_run else "dropped"
    typer.echo(f"{verb} {len(done.evidence) if done else 0} pieces of evidence, {observations} observations")
    typer.echo(done.reason if done else "nothing is older than the settings keep")


def migrate(home: HomeOption = DEFAULT_HOME, url: UrlOption = None) -> None:
    """Make the tables or bring them up to date. SQLite does so by itself; on PostgreSQL it is for the owner."""
    from cabc.record.engines import connect, resolve_url
    from cabc.record.engines import migrate as bring_up
    from cabc.record.schema import REVISION

    engine = connect(resolve_url(url or open_home(home).database))
    try:
        bring_up(engine)
    finally:
        engine.dispose()
    typer.echo(f"the tables have revision {REVISION}")


def roles(
    home: HomeOption = DEFAULT_HOME,
    url: UrlOption = None,
    *,
    show: Annotated[bool, typer.Option("--show", help="Print the statements; change nothing.")] = False,
) -> None:
    """Make the PostgreSQL roles cabc_collect, cabc_assess, cabc_publish, cabc_read: append-only, own chains only.

    Run it as the owner of the database, and again after an upgrade. Then let each process's user join one:
    CREATE USER collector PASSWORD '…' IN ROLE cabc_collect
    """
    from cabc.record.roles import DATABASE_ROLES, grant_roles, statements

    if show:
        for statement in statements():
            typer.echo(f"{statement};")
        return
    grant_roles(url or open_home(home).database)
    typer.echo(f"roles: {', '.join(DATABASE_ROLES)}")
