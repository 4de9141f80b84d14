"""Options and output that every command shares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cabc.home import Home

__all__ = ["DEFAULT_HOME", "HomeOption", "JsonOption", "open_home"]

DEFAULT_HOME = Path(".cabc")
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="CABC_HOME", help="Folder with settings, connections, record and keys.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def open_home(folder: Path) -> Home:
    """Return the auditor in a folder, with its settings when there are any; ProblemsError for mistakes in them."""
    from cabc.document.source import read
    from cabc.home import Home, Settings

    file = folder / "cabc.yaml"
    settings = read(Settings, file.read_bytes(), str(file)) if file.exists() else Settings()
    return Home(folder, settings)
