"""The platform of stack `ci` on a kind cluster of its own: made once for the session, removed at its end."""

from __future__ import annotations

from collections.abc import Iterator

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
