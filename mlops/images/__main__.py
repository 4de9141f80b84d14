"""`python -m mlops.images`: the same commands, for programs that know this Python and not the `mlops` on PATH."""

from __future__ import annotations

import sys

from mlops import console
from mlops.errors import MlopsError
from mlops.images.cli import app

__all__: list[str] = []

try:
    app()
except MlopsError as error:
    console.err.print(f"{console.FAILED} {error}", markup=False)
    sys.exit(error.exit_code)
