"""What needs the packages of the image runs in its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import image_environment


@pytest.mark.backend
@pytest.mark.timeout(900)
def test_serving() -> None:
    image_environment.run_tests(Path(__file__).with_name("test_serve.py"))
