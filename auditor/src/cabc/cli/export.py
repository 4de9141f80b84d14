"""`cabc export`, `cabc restore`, `cabc backup`: the record out of one home and into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cabc.cli._common import DEFAULT_HOME, HomeOption, open_home

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("export")(export)
    app.command("restore")(restore)
    app.command("backup")(backup)


def export(
    file: Annotated[Path, typer.Argument(help="Archive to write.")],
    subject: Annotated[str | None, typer.Option("--subject", help="Export one subject; all without.")] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Write a signed archive that anybody can check with `cabc verify --archive`, offline and without this home.

    It holds what the record holds, confidential values and restricted reports included: give it to auditors.
    """
    from cabc.record.archive import export as write

    place = open_home(home)
    with place.record("read") as record:
        write(record, subject, file, keys=record.keys, anchors=place.anchors, published=place.published)
    typer.echo(f"wrote {file} ({file.stat().st_size} bytes); check it with: cabc verify --archive {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="Archive written by `cabc export`.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Bring an archive into an empty home. Private keys are not in it: the next entries are signed with new ones."""
    from cabc.record.archive import restore as read

    place = open_home(home)
    with place.record() as record:
        read(file, record, published=place.published)
        subjects = record.subjects()
    typer.echo(f"restored {', '.join(subjects) or 'an empty record'} into {home}; check it with: cabc verify")


def backup(
    file: Annotated[Path, typer.Argument(help="Copy of the database to write.")],
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Copy an SQLite record while it is in use. Keys, settings and anchors are files: copy them as such."""
    from cabc.record.backup import backup as copy

    copy(open_home(home).database, file)
    typer.echo(f"wrote {file} ({file.stat().st_size} bytes); keep {home}/keys with it")
