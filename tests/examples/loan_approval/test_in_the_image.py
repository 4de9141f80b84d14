"""The tests of this folder, in the environment that the code they test runs in."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support import image_environment

HERE = Path(__file__).parent


@pytest.mark.backend
@pytest.mark.timeout(900)
@pytest.mark.skipif(find_spec("sklearn") is not None, reason="runs outside of that environment")
@pytest.mark.parametrize("file", ["test_steps.py", "test_monitored.py"])
def test_in_the_environment_of_the_image(file: str) -> None:
    image_environment.run_tests(HERE / file)
