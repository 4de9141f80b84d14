"""`python -m mlops.toolchain`: the same as `mlops toolchain`, for scripts that run before the command is installed."""

from __future__ import annotations

import sys

from mlops import console
from mlops.errors import MlopsError
from mlops.toolchain.cli import app

__all__: list[str] = []

if __name__ == "__main__":
    try:
        app(prog_name="mlops toolchain")
    except MlopsError as error:
        console.err.print(f"[red]{console.FAILED}[/] {error}", highlight=False)
        sys.exit(error.exit_code)
