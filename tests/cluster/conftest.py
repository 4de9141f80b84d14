"""The platform of stack `ci` on a kind cluster of its own: made once for the session, removed at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.platform import Platform


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    if there := request.config.getoption("--on"):
        running = Platform(there)
        yield running
        running.forget()
        return
    running = Platform("ci")
    running.mlops("down", "--stack", "ci", timeout=600)  # what a killed session left
    running.mlops("up", "--stack", "ci", "--no-loop", timeout=3600)
    yield running
    running.mlops("down", "--stack", "ci", timeout=600)
    running.forget()


@pytest.fixture(scope="session")
def closed(platform: Platform) -> tuple[dict[str, Any], float]:
    """Give the evidence of the first loop of the session, and when it had closed: from then on a model is served."""
    return platform.loop(), time.time()
