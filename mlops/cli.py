"""`mlops`: the commands, thin; each imports what it needs when it runs, so that all of them start quickly."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from components._core.sources import Source
from mlops import console
from mlops.errors import MlopsError

__all__ = ["app", "main"]

_AREAS = {
    "card": "mlops.card.cli",
    "dash": "mlops.dash.cli",
    "evidence": "mlops.evidence.cli",
    "images": "mlops.images.cli",
    "loop": "mlops.loop.cli",
    "toolchain": "mlops.toolchain.cli",
    "trace": "mlops.trace.cli",
}
"""Commands that live with what they command."""

_STOPPED = 130
"""Exit code of a command that was stopped by Ctrl-C."""


class _Commands(TyperGroup):
    """Imports an area's commands when they are asked for, and says how to go on after Ctrl-C."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *_AREAS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _AREAS:
            return super().get_command(ctx, cmd_name)
        command = typer.main.get_command(importlib.import_module(_AREAS[cmd_name]).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from mlops.engine import Interrupted

            raise Interrupted("stopped", fix=f"run `{shlex.join(['mlops', *sys.argv[1:]])}` to go on") from None


app = typer.Typer(
    cls=_Commands,
    help="Operates the open-source MLOps platform: one order form, one platform, one proven loop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StackOption = Annotated[str, typer.Option("--stack", "-s", help="Name of the stack: stacks/Pulumi.<stack>.yaml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def up(
    stack: StackOption = "local",
    loop: Annotated[bool, typer.Option("--loop/--no-loop", help="Prove the platform by the loop at the end.")] = True,  # noqa: FBT002 (an option)
    source: Annotated[
        Source | None, typer.Option(help="Where tools and images come from; found out and remembered, if not given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes/--no-yes", "-y", help="Do not ask before changing anything.")] = True,  # noqa: FBT002 (an option)
) -> None:
    """Make the platform run: tools, images, cluster, components, and one model through the whole loop."""
    from mlops.up import up as run

    if not yes and not typer.confirm(f"Change what runs in stack {stack}?"):
        raise typer.Exit(1)
    run(stack, loop=loop, source=source)


@app.command()
def down(
    stack: StackOption = "local",
    purge_cache: Annotated[bool, typer.Option("--purge-cache", help="Remove built tools and images as well.")] = False,  # noqa: FBT002 (an option)
) -> None:
    """Remove everything the stack made and look whether anything is left."""
    from mlops import down as area

    area.down(stack)
    if purge_cache:
        from mlops import toolchain

        freed = area.purge_cache(area.nodes_of(toolchain.environment()))
        console.err.print(f"[green]{console.OK}[/] cache removed: {freed / 1e9:.1f} GB")


@app.command()
def status(stack: StackOption = "local", as_json: JsonOption = False) -> None:  # noqa: FBT002 (an option)
    """Show what runs where and how to open it."""
    from mlops import status as area

    report = area.read(stack)
    if as_json:
        console.out.print_json(json.dumps(report.as_json()))
    else:
        area.show(report)


@app.command()
def doctor(
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="Look at this stack's cluster as well.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002 (an option)
) -> None:
    """Say whether this machine can carry the platform, and how the platform is."""
    from mlops import doctor as area
    from mlops.doctor import report

    checks = area.examine(stack or "local")
    if as_json:
        rows = [asdict(check) for check in checks]
        console.out.print_json(json.dumps({"blocking": len(area.blocking(checks)), "checks": rows}))
    else:
        report.show(checks)
    raise typer.Exit(1 if area.blocking(checks) else 0)


@app.command()
def validate(
    files: Annotated[list[Path] | None, typer.Argument(help="Order forms; all in stacks/, if none.")] = None,
    as_json: JsonOption = False,  # noqa: FBT002 (an option)
) -> None:
    """Report everything that is wrong with order forms, one line each; exit code 2 if anything is."""
    from mlops import validate as area

    checked = {file: area.check(file) for file in files or area.files()}
    findings = [finding for found in checked.values() for finding in found]
    if as_json:
        console.out.print_json(json.dumps([asdict(finding) for finding in findings]))
    else:
        for file, found in checked.items():
            for finding in found:
                console.out.print(str(finding), markup=False)
            if not found:
                console.out.print(f"[green]{console.OK}[/] {file.name}")
    raise typer.Exit(2 if findings else 0)


@app.command()
def schema(
    check: Annotated[bool, typer.Option("--check", help="Fail when the committed schema is not current.")] = False,  # noqa: FBT002 (an option)
    write: Annotated[bool, typer.Option("--write", help="Write it to stacks/, where editors look.")] = False,  # noqa: FBT002 (an option)
) -> None:
    """Print the JSON schema of an order form."""
    from mlops import schema as area

    if write:
        console.err.print(f"[green]{console.OK}[/] {area.write()}")
    if check:
        area.check()
    if not write and not check:
        sys.stdout.write(area.build())


@app.command()
def env(stack: StackOption = "local") -> None:
    """Print what pulumi, kind and kubectl need, for a shell: `eval "$(mlops env)"`."""
    from mlops import toolchain
    from mlops.up import kubeconfig_file

    sys.stdout.write(toolchain.exports() + "\n")
    if (file := kubeconfig_file(stack)).exists():
        sys.stdout.write(f"export KUBECONFIG={shlex.quote(str(file))}\n")


@app.command()
def kubeconfig(stack: StackOption = "local") -> None:
    """Print a kubeconfig for the stack's cluster, with the rights of an administrator."""
    from mlops import engine

    sys.stdout.write(engine.kubeconfig(stack))


def main() -> NoReturn:
    """Run `mlops`: errors of the user and of the world in one line, bugs with their traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign gets `?`, not a traceback
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(prog_name="mlops")
    except MlopsError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _tell(error: MlopsError) -> None:
    sign, style = (console.WARNING, "yellow") if error.exit_code == _STOPPED else (console.FAILED, "red")
    console.err.print(f"[{style}]{sign}[/]", end=" ")
    console.err.print(error.message, markup=False)
    if error.fix:
        console.err.print(f"  fix: {error.fix}", markup=False)


def _stop(_signal: int, _frame: FrameType | None) -> Any:
    raise KeyboardInterrupt
