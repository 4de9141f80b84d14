"""`mlops toolchain`: install, list, path, env."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from components._core.sources import Source
from mlops import console, toolchain
from mlops.toolchain.store import sha256

__all__ = ["app"]

app = typer.Typer(help="The tools: pulumi, kind, and what goes into the images.", no_args_is_help=True)


@app.command()
def install(
    names: Annotated[list[str] | None, typer.Argument(help="Tools to install; all that are needed, if none.")] = None,
    source: Annotated[
        Source | None, typer.Option(help="Where from; found out and remembered, if not given. Also MLOPS_SOURCE.")
    ] = None,
    system_packages: Annotated[
        bool | None,
        typer.Option(help="Install missing Debian or Ubuntu packages; root does so unless told not to."),
    ] = None,
) -> None:
    """Install what is missing; what is there already is kept. Can be interrupted and run again."""
    choice = toolchain.choose(source)
    console.err.print(f"source: {choice.source} ({choice.reason})")
    toolchain.install(names or None, source=choice.source, system_packages=system_packages)
    for tool in toolchain.tools():
        if tool.name in {"pulumi-language-python", "pulumi-resource-kubernetes"} and not names:
            console.err.print(f"{tool.name}: {'stand-in' if tool.stand_in else f'official, {tool.path}'}")
    if not names:
        console.err.print("All tools are installed. Next: [bold]mlops up[/]")


@app.command(name="list")
def list_(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    verify: Annotated[bool, typer.Option(help="Hash every file and compare with what was recorded.")] = False,
) -> None:
    """Show every tool: name, version, source, SHA-256, path."""
    found = toolchain.tools()
    altered = [tool.name for tool in found if verify and tool.sha256 and sha256(tool.path) != tool.sha256]
    if as_json:
        rows = [
            {
                "name": tool.name,
                "version": tool.version,
                "source": str(tool.source),
                "sha256": tool.sha256,
                "path": str(tool.path),
                "installed": tool.installed,
                "standIn": tool.stand_in,
            }
            for tool in found
        ]
        console.out.print_json(json.dumps(rows))
    else:
        console.out.print(_table(found))
    if altered:
        console.err.print(f"[red]{console.FAILED}[/] changed since they were installed: {', '.join(altered)}")
        raise typer.Exit(1)


@app.command()
def path(name: Annotated[str, typer.Argument(help="Name of an executable.")]) -> None:
    """Print the path of one executable, installing it first when it is missing."""
    console.out.print(str(toolchain.binary(name)), markup=False)


@app.command()
def env() -> None:
    """Print what pulumi and kind need, for a shell: `eval "$(mlops toolchain env)"`."""
    console.out.print(toolchain.exports(), markup=False)


@app.command()
def prune() -> None:
    """Remove the tools of other versions and other checkouts; they are built again when somebody needs them."""
    freed = toolchain.prune()
    console.err.print(f"{freed / 1e6:.0f} MB freed")


def _table(found: list[toolchain.Tool]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("tool", "version", "source", "sha256", ""):
        table.add_column(heading)
    for tool in found:
        state = f"[green]{console.OK}[/]" if tool.installed else "[dim]not installed[/]"
        origin = "stand-in" if tool.stand_in else str(tool.source)
        table.add_row(tool.name, tool.version, origin, (tool.sha256 or "")[:12], state)
    return table
