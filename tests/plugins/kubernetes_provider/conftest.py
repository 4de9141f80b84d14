"""One API server with controllers for all tests of the provider, a namespace and an engine for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.apiserver import ApiServer, running_api_server
from tests.support.kubelet import Kubelet
from tests.support.kubernetes_engine import FakeEngine

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    for server in running_api_server(tmp_path_factory, controllers=True):
        with Kubelet(server):
            yield server


@pytest.fixture
def namespace(server: ApiServer) -> Iterator[str]:
    name = f"ns-{next(_NUMBERS)}"
    server.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    server.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def engine(server: ApiServer, journal: Path) -> Iterator[FakeEngine]:
    with FakeEngine(journal) as engine:
        yield engine.configure(server.kubeconfig())
