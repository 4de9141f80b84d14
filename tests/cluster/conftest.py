"""The platform of stack `ci` on a kind cluster of its own: made once for the session, removed at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from mlops import engine
from mlops.dash import prometheus
from mlops.loop.cluster import Cluster
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


@pytest.fixture(scope="session")
def cluster(platform: Platform) -> Cluster:
    """Give what asks services through the API server."""
    return Cluster(engine.kubeconfig(platform.stack))


@pytest.fixture(scope="session")
def source(cluster: Cluster, closed: tuple[dict[str, Any], float]) -> prometheus.Prometheus:
    """Give the platform's Prometheus, which knows a model that is served."""
    assert closed[0]["exitCode"] == 0
    return prometheus.in_cluster(cluster)
