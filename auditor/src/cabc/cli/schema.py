"""`cabc schema`: the JSON schema of a conformity specification."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def schema(
    write: Annotated[Path | None, typer.Option("--write", help="File to write instead of printing.")] = None,
    *,
    plugins: Annotated[bool, typer.Option("--plugins", help="With the interfaces of installed plugins.")] = False,
) -> None:
    """Print the JSON schema of a conformity specification, for editors."""
    from cabc.loading.schema import schema_text

    text = schema_text(plugins=plugins)
    if write is None:
        typer.echo(text, nl=False)
    else:
        write.write_text(text, encoding="utf-8")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(schema)
