"""`cabc validate`: every mistake in a specification with its place and its remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cabc.cli._common import JsonOption

if TYPE_CHECKING:
    from cabc.document.loaded import LoadedDocument

__all__ = ["register"]


def validate(
    files: Annotated[list[Path], typer.Argument(help="Conformity specifications, YAML or JSON.", show_default=False)],
    connections: Annotated[
        Path | None, typer.Option("--connections", help="Connections file; its names and kinds are checked against.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Check specifications: every mistake with file:line:column, what was found, what is wanted, what to write."""
    known = None
    if connections is not None:
        from cabc.interfaces.connections import load_connections

        known = {name: connection.kind for name, connection in load_connections(connections).items()}
    results = [_result(file, known) for file in files]
    if as_json:
        typer.echo(json.dumps({"valid": all(one["valid"] for one in results), "files": results}, indent=2))
    else:
        _print(results)
    if not all(one["valid"] for one in results):
        raise typer.Exit(1)


def _result(file: Path, connections: dict[str, str] | None) -> dict[str, Any]:
    from dataclasses import asdict

    from cabc.document.problems import ProblemsError
    from cabc.loading import load

    try:
        document = load(file, connections=connections)
    except ProblemsError as error:
        problems = [{**asdict(problem), "text": str(problem)} for problem in error.problems]
        return {"file": str(file), "valid": False, "problems": problems}
    return {"file": str(file), "valid": True, "problems": [], **_summary(document)}


def _summary(document: LoadedDocument) -> dict[str, Any]:
    return {
        "id": document.specification.id,
        "version": document.specification.version,
        "digest": document.digest,
        "requirements": len(document.requirements),
        "leaves": sum(1 for _ in document.leaves()),
        "nested": sorted(document.nested),
    }


def _print(results: list[dict[str, Any]]) -> None:
    from cabc.text import one_line

    for result in results:
        for problem in result["problems"]:
            typer.echo(one_line(problem["text"], limit=2_000))
    for result in results:
        number = len(result["problems"])
        if result["valid"]:
            held = f"{_number(result['requirements'], 'requirement')}, {_number(result['leaves'], 'measurement')}"
            typer.echo(f"✔ {one_line(result['file'])}: {result['id']} version {result['version']}, {held}")
        else:
            typer.echo(f"✖ {one_line(result['file'])}: {_number(number, 'mistake')}", err=True)


def _number(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(validate)
