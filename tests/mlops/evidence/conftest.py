"""A stack whose engine is a script, and a real API server for what is recorded of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.engine import Stack
from mlops.loop.cluster import Cluster
from tests.support.apiserver import ApiServer, running_api_server
from tests.support.evidence import ENGINE, Engine


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    told = tmp_path / "told.json"
    script = tmp_path / "bin" / "pulumi"
    script.parent.mkdir()
    script.write_text(ENGINE.format(python=sys.executable, file=str(told)))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    environment = {**os.environ, "PULUMI_BACKEND_URL": f"file://{tmp_path / 'backend'}"}
    found = Engine(told, Stack("trial", project, environment))
    found.write()
    return found


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    yield from running_api_server(tmp_path_factory, controllers=False)


@pytest.fixture
def cluster(api_server: ApiServer) -> Cluster:
    """Give a cluster with the evidence's namespace, empty."""
    found = Cluster(json.dumps(api_server.kubeconfig()))
    if found.get("/api/v1/namespaces/infrastructure-evidence") is None:
        found.create("/api/v1/namespaces", {"metadata": {"name": "infrastructure-evidence"}})
    for each in found.items("/api/v1/namespaces/infrastructure-evidence/configmaps"):
        found.delete(f"/api/v1/namespaces/infrastructure-evidence/configmaps/{each['metadata']['name']}")
    return found
