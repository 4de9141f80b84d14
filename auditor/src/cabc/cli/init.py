"""`cabc init`: a commented specification to begin with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cabc.cli._common import JsonOption
from cabc.errors import CabcError

__all__ = ["register"]

DEFAULT = "eu-ai-act-high-risk"
_SETTINGS = """\
# Settings of the auditor; every key may be left out.
documents: [../specification.yaml] # what `cabc serve` runs
commands: false # whether specifications may run the commands that you registered
"""


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to, made if need be.")] = Path(),
    template: Annotated[str, typer.Option("--template", help="Name of the template; --list shows them.")] = DEFAULT,
    *,
    list_: Annotated[bool, typer.Option("--list", help="Show the templates.")] = False,
    json_: JsonOption = False,
) -> None:
    """Write a commented specification, its tests, and the operator's files, from a template."""
    from cabc.templates import TEMPLATES

    if list_:
        _list(as_json=json_)
        return
    chosen = TEMPLATES.get(template)
    if chosen is None:
        from cabc.document.explain import similar

        meant = similar(template, TEMPLATES)
        msg = f"there is no template {template!r}"
        raise CabcError(msg, fix=f"Did you mean {meant}?" if meant else f"Write one of {', '.join(TEMPLATES)}.")
    files = {
        folder / "specification.yaml": chosen.text("specification.yaml"),
        folder / "specification.tests.yaml": chosen.text("specification.tests.yaml"),
        folder / ".cabc" / "connections.yaml": chosen.text("connections.yaml"),
        folder / ".cabc" / "cabc.yaml": _SETTINGS,
    }
    _write(files)
    if json_:
        typer.echo(json.dumps({"template": chosen.name, "files": [str(file) for file in files]}, indent=2))
        return
    for file in files:
        typer.echo(f"✔ {file}")
    typer.echo("Next: write your addresses into connections.yaml, then")
    there = "" if folder == Path() else f"cd {folder} && "
    typer.echo(f"  {there}cabc validate specification.yaml && cabc plan specification.yaml")


def _list(*, as_json: bool) -> None:
    from cabc.templates import TEMPLATES

    if as_json:
        typer.echo(json.dumps({name: one.about for name, one in TEMPLATES.items()}, indent=2))
        return
    for name, one in TEMPLATES.items():
        typer.echo(f"{name:24} {one.about}")


def _write(files: dict[Path, str]) -> None:
    """Write all files or none."""
    there = [str(file) for file in files if file.exists()]
    if there:
        msg = f"{', '.join(there)}: already there"
        raise CabcError(msg, fix="Name another folder, or move what is there.")
    for file, text in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as new:
                new.write(text)
        except OSError as error:
            msg = f"{file}: {(error.strerror or 'cannot be written').lower()}"
            raise CabcError(msg, fix="Name a folder that you may write to.") from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)
