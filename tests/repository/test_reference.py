"""Generated pages are what the code says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from components._core import paths
from mlops import reference

PAGES = paths.CHECKOUT / "docs" / "reference"


def test_order_form_page_is_current() -> None:
    assert reference.order_form() == (PAGES / "order-form.md").read_text(), "run: make docs"


def test_commands_page_is_current() -> None:
    command = [str(Path(sys.executable).with_name("typer")), "mlops.cli", "utils", "docs", "--name", "mlops"]
    done = subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == (PAGES / "commands.md").read_text(), "run: make docs"
