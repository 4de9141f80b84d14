"""The example's steps, carried out. They need the environment of the image: `test_in_the_image.py` runs them in it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent

OUTSIDE = {"test_in_the_image.py", "test_specification.py"}

if find_spec("sklearn") is None:
    collect_ignore = [file.name for file in HERE.glob("test_*.py") if file.name not in OUTSIDE]
