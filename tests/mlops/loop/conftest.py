"""A platform in memory that watches, and a loop on it that has come as far as a served version."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import pytest

from mlops.loop import waiting
from mlops.loop.cluster import Cluster
from mlops.loop.context import Context
from mlops.loop.ledger import Ledger
from mlops.loop.outcome import Options
from tests.support.loop import FakePlatform
from tests.support.watching import Watched

Begin = Callable[[FakePlatform], Context]


@pytest.fixture
def platform() -> Watched:
    return Watched()


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Return a function that begins a loop whose version is served; nothing is waited for."""
    monkeypatch.setattr(waiting, "PAUSE", 0.0)

    def begun(platform: FakePlatform) -> Context:
        context = Context(cast("Cluster", platform), Options(), Ledger(), lambda _name: None, math.inf)
        served = context.registry.version("loan-approval", "2")
        assert served is not None
        context.registered = served
        return context

    return begun


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look once and no second time."""
    until = waiting.until
    monkeypatch.setattr(waiting, "until", lambda found, _seconds, **_: until(found, -1.0))
