"""A real MLflow server takes what is put under a run, and gives it back by the paths that the loop reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import httpx
import pytest
from cabc.demo import environment

from mlops.loop.cluster import Answer, Cluster
from mlops.loop.registry import Registered, Registry
from tests.support import image_environment

pytestmark = [pytest.mark.backend, pytest.mark.timeout(900)]


class Direct:
    """Asks a server itself, where the loop goes through a cluster."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(
        self,
        _url: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Answer:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = method or ("GET" if body is None else "POST")
        found = httpx.request(given, f"{self.url}{path}", params=query, content=content, headers=headers, timeout=60)
        return Answer(found.status_code, dict(found.headers), found.text, found.content)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with environment.mlflow_server(tmp_path_factory.mktemp("mlflow"), image_environment.python()) as running:
        yield running.url


@pytest.fixture
def registered(server: str) -> Registered:
    body = {"experiment_id": "0"}
    answer = httpx.post(f"{server}/api/2.0/mlflow/runs/create", json=body, timeout=60)
    run = answer.json()["run"]["info"]
    return Registered("m", "1", run["run_id"], "m-1", run["experiment_id"], {}, (), "")


def test_what_is_stored_is_read_again(server: str, registered: Registered) -> None:
    registry = Registry(cast("Cluster", Direct(server)), server)
    registry.store(registered, "card/model-card.json", '{"schema": "model-card/1"}')
    assert registry.run_document(registered, "card/model-card.json") == {"schema": "model-card/1"}
    seen = httpx.get(
        f"{server}/get-artifact", params={"path": "card/model-card.json", "run_uuid": registered.run_id}, timeout=60
    )
    assert seen.json() == {"schema": "model-card/1"}


def test_what_is_not_there_is_none(server: str, registered: Registered) -> None:
    registry = Registry(cast("Cluster", Direct(server)), server)
    assert registry.run_document(registered, "card/facts.json") is None
