"""Run the tests beside this file where their packages are: in the locked environment of the image."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import image_environment

HERE = Path(__file__).parent
FILES = sorted(file for file in HERE.glob("test_*.py") if file != Path(__file__))


@pytest.mark.backend
@pytest.mark.timeout(900)  # the first one may have to make the environment
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem.removeprefix("test_"))
def test_inside(file: Path) -> None:
    image_environment.run_tests(file)
