"""The command line. Modules of commands import what is heavy inside their functions, so that `--help` stays quick."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import typer

from cabc.errors import CabcError

__all__ = ["app", "main"]

app = typer.Typer(
    name="cabc", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback()
def _cabc() -> None:
    """Turn a conformity specification into a conformity status that anyone can check."""


def main() -> None:
    """Run the command line: every module in this package adds its commands with `register(app)`."""
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        if not module.startswith("_"):
            importlib.import_module(f"{__name__}.{module}").register(app)
    try:
        app()
    except CabcError as error:
        print(f"✖ {error}", *([f"  {error.fix}"] if error.fix else []), sep="\n", file=sys.stderr)  # noqa: T201 (errors)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("✖ interrupted; nothing half-done is recorded", file=sys.stderr)  # noqa: T201 (errors)
        sys.exit(130)
