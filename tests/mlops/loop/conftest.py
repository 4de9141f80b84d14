"""A platform in memory that watches, and a loop on it that has come as far as a served version."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

import pytest

from mlops.loop import waiting
from mlops.loop.cluster import Cluster
from mlops.loop.context import Context
from mlops.loop.ledger import Ledger
from mlops.loop.outcome import Options
from tests.support.loop import FakePlatform
from tests.support.watching import HELD_OUT, MonitorPart, PredictionLogPart, held_out


class Watched(FakePlatform):
    """Serves a model that approves of whoever earns enough, and says what it does to whoever watches."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.collector = PredictionLogPart()
        self.monitor = MonitorPart(self.collector)
        self.watching = [self.collector, self.monitor]
        self.artefacts = {HELD_OUT: held_out()}
        self.exported = True

    def outputs(self, rows: list[dict[str, Any]]) -> list[Any]:
        return [[0.1, 0.9] if row.get("appinc", 0.0) > 12 else [0.8, 0.2] for row in rows]

    def _prometheus(self, path: str, query: Any) -> Any:
        expression = query.get("query", "")
        if not expression.startswith("model_"):
            return super()._prometheus(path, query)
        version = re.search(r'version="(\w+)"', expression)
        report = self.monitor.report(self, version[1] if version else "")
        metric = re.search(r'metric="(\w+)"', expression)
        found = report["performance"].get(metric[1]) if metric else report["labelled_rows"]
        samples = [{"metric": {}, "value": [0, repr(float(found))]}] if self.exported and found is not None else []
        return {"data": {"result": samples}}


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
