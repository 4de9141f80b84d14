"""`mlflow` against a real server, and its traps."""

from __future__ import annotations

import asyncio
import hashlib
import json
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest
from cabc.document.interfaces import MlflowInterface
from cabc.document.model import SubjectSelector
from cabc.engine.auditor import resolve
from cabc.interfaces.base import ExtractError, RetrieveError, SubjectFacts, Value
from cabc.interfaces.connections import MlflowConnection
from cabc.interfaces.mlflow import MlflowPlugin, resolve_subject

from tests.support.http_backend import HttpBackend, Reply, Request
from tests.support.retrieval import SUBJECT, retrieve, spec, value

FILES = {"MLmodel": b"flavors: {}\n", "data/model.bin": b"\x00weights" * 1000, "a b.txt": b"odd name"}


@dataclass(frozen=True)
class Registry:
    """A server with one registered model of two versions; 2 is the champion."""

    url: str
    run: str

    def call(self, method: str, path: str, body: object = None) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 (our own server)
            f"{self.url}{path}", data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 (our own server)
            return json.loads(reply.read() or b"{}")

    @property
    def connection(self) -> MlflowConnection:
        made: MlflowConnection = spec(MlflowConnection, kind="mlflow", url=self.url, network="loopback")
        return made


@pytest.fixture(scope="module")
def registry(mlflow_server: str) -> Registry:
    """Fill a real server over its REST API: a run with facts, a report, a model of three files, two versions."""
    api = "/api/2.0/mlflow"
    made = Registry(mlflow_server, "")
    experiment = made.call("POST", f"{api}/experiments/create", {"name": "interfaces"})["experiment_id"]
    run = made.call("POST", f"{api}/runs/create", {"experiment_id": experiment})["run"]["info"]
    batch = {
        "run_id": run["run_id"],
        "metrics": [
            {"key": "auc", "value": 0.91, "timestamp": 1, "step": 1},
            {"key": "auc", "value": 0.5, "timestamp": 0, "step": 0},
            {"key": "rows", "value": 12000, "timestamp": 1, "step": 0},
            {"key": "undefined", "value": "NaN", "timestamp": 1, "step": 0},
        ],
        "params": [{"key": "alpha", "value": "0.5"}],
        "tags": [{"key": "reviewed", "value": "true"}, {"key": "both", "value": "run"}],
    }
    made.call("POST", f"{api}/runs/log-batch", batch)
    root = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    proxy = f"/api/2.0/mlflow-artifacts/artifacts/{root}"
    for name, body in FILES.items():
        made.call("PUT", f"{proxy}/model/{name.replace(' ', '%20')}", body)
    made.call("PUT", f"{proxy}/report.json", b'{"fairness": {"fpr": 0.8}}')
    made.call("POST", f"{api}/registered-models/create", {"name": "credit scoring"})
    for _ in range(2):
        version = {"name": "credit scoring", "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}
        made.call("POST", f"{api}/model-versions/create", version)
    tag = {"name": "credit scoring", "version": "2", "key": "both", "value": "version"}
    made.call("POST", f"{api}/model-versions/set-tag", tag)
    alias = {"name": "credit scoring", "alias": "champion", "version": "2"}
    made.call("POST", f"{api}/registered-models/alias", alias)
    return Registry(mlflow_server, run["run_id"])


def selector(**keys: Any) -> SubjectSelector:
    made: SubjectSelector = spec(
        SubjectSelector, **{"name": "scoring", "connection": "mlflow", "registered_model": "credit scoring", **keys}
    )
    return made


@pytest.fixture(scope="module")
def subject(registry: Registry) -> SubjectFacts:
    """Give the facts about the champion."""
    return asyncio.run(resolve_subject(selector(alias="champion"), registry.connection))


def test_the_alias_names_version_run_and_digest(registry: Registry, subject: SubjectFacts) -> None:
    assert (subject.version, subject.run_id) == ("2", registry.run)
    lines = [f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}\n" for name in sorted(FILES, key=str.encode)]
    assert subject.digest == f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
    assert (subject.source or "").endswith("/model")


def test_a_version_may_be_named(registry: Registry, subject: SubjectFacts) -> None:
    named = asyncio.run(resolve_subject(selector(version="1"), registry.connection))
    assert (named.version, named.digest) == ("1", subject.digest)


@pytest.mark.parametrize(
    "keys", [{"alias": "nobody"}, {"version": "9"}, {"registered_model": "x", "alias": "champion"}]
)
def test_what_the_registry_does_not_have_is_named(registry: Registry, keys: dict[str, str]) -> None:
    with pytest.raises(RetrieveError, match="has no version"):
        asyncio.run(resolve_subject(selector(**keys), registry.connection))


def test_neither_alias_nor_version_is_an_error(registry: Registry) -> None:
    with pytest.raises(RetrieveError, match="neither"):
        asyncio.run(resolve_subject(selector(), registry.connection))


def test_a_subject_without_a_registry_has_the_facts_of_the_document() -> None:
    facts = asyncio.run(resolve_subject(selector(connection=None, registered_model=None, version="7"), None))
    assert (facts.name, facts.version, facts.digest) == ("scoring", "7", None)


def test_a_model_larger_than_allowed_is_an_error(registry: Registry) -> None:
    small = registry.connection.model_copy(update={"max_artifact_bytes": 100})
    with pytest.raises(RetrieveError, match="larger than 100"):
        asyncio.run(resolve_subject(selector(alias="champion"), small))
    kept = asyncio.run(resolve(selector(alias="champion"), {"mlflow": small}))
    assert (kept.version, kept.run_id, kept.digest) == ("2", registry.run, None), "a run goes on with what was read"


def ask(**keys: Any) -> MlflowInterface:
    asked: MlflowInterface = spec(MlflowInterface, kind="mlflow", connection="mlflow", **keys)
    return asked


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"metric": "auc"}, 0.91),
        ({"metric": "rows"}, 12000.0),
        ({"param": "alpha"}, "0.5"),
        ({"param": "alpha", "cast": "numeric"}, 0.5),
        ({"tag": "reviewed"}, "true"),
        ({"tag": "reviewed", "cast": "boolean"}, True),
        ({"tag": "both"}, "version"),
        ({"field": "version"}, "2"),
        ({"field": "status"}, "READY"),
        ({"field": "aliases"}, ["champion"]),
        ({"artifact": "report.json", "pointer": "/fairness/fpr"}, 0.8),
    ],
)
def test_each_fact(registry: Registry, subject: SubjectFacts, keys: dict[str, Any], wanted: Value) -> None:
    found = value(MlflowPlugin(), ask(**keys), registry.connection, subject)
    assert (type(found), found) == (type(wanted), wanted)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"metric": "nothing"}, "auc"),
        ({"metric": "undefined"}, "finite"),
        ({"param": "nothing"}, "alpha"),
        ({"artifact": "report.json"}, "object"),
        ({"artifact": "report.json", "pointer": "/x"}, "nothing at"),
    ],
)
def test_what_is_not_there_names_what_is(
    registry: Registry, subject: SubjectFacts, keys: dict[str, Any], why: str
) -> None:
    with pytest.raises(ExtractError, match=why):
        value(MlflowPlugin(), ask(**keys), registry.connection, subject)


@pytest.mark.parametrize(
    ("artifact", "why"), [("nothing.json", "status"), ("../../../mlflow.db", "status"), ("model/a b.txt", "JSON")]
)
def test_artifacts_that_are_none(registry: Registry, subject: SubjectFacts, artifact: str, why: str) -> None:
    with pytest.raises((RetrieveError, ExtractError), match=why):
        value(MlflowPlugin(), ask(artifact=artifact), registry.connection, subject)


def test_one_answer_serves_all_facts_of_a_run(registry: Registry, subject: SubjectFacts) -> None:
    async def both() -> tuple[bytes, bytes]:
        plugin = MlflowPlugin()
        try:
            first, second = await asyncio.gather(
                plugin.retrieve(ask(metric="auc"), registry.connection, subject),
                plugin.retrieve(ask(tag="both"), registry.connection, subject),
            )
        finally:
            await plugin.close()
        assert (first.origin, second.origin) == ("metric auc of connection mlflow", "tag both of connection mlflow")
        return first.body, second.body

    first, second = asyncio.run(both())
    assert first is second


# Without a server of MLflow's.


def test_exactly_one_fact_is_asked_for() -> None:
    connection = spec(MlflowConnection, kind="mlflow", url="http://127.0.0.1:9", network="loopback")
    for keys in ({}, {"metric": "a", "param": "b"}):
        with pytest.raises(RetrieveError, match="exactly one"):
            retrieve(MlflowPlugin(), ask(**keys), connection)


@pytest.mark.parametrize("run", [None, "", "../x", "A" * 32])
def test_a_subject_without_a_run_has_no_metrics(run: str | None) -> None:
    connection = spec(MlflowConnection, kind="mlflow", url="http://127.0.0.1:9", network="loopback")
    bare = SUBJECT.model_copy(update={"run_id": run, "registered_model": None})
    with pytest.raises(RetrieveError):
        retrieve(MlflowPlugin(), ask(metric="auc"), connection, bare)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"model_version": 7}', b"no"])
def test_other_answers_are_errors(body: bytes) -> None:
    with HttpBackend(lambda _: Reply(body)) as server:
        connection = spec(MlflowConnection, kind="mlflow", url=server.url, network="loopback")
        with pytest.raises(RetrieveError):
            asyncio.run(resolve_subject(selector(alias="champion"), connection))


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "..", "a/../../b", "a\\b", "", "deep/nested/unlisted"])
def test_a_listing_cannot_name_files_outside_the_model(path: str) -> None:
    """A hostile store lists names; the address of the next request is made from them."""

    def answer(request: Request) -> Reply:
        if request.path.endswith("/alias"):
            version = {"name": "m", "version": "1", "source": "s", "run_id": ""}
            return Reply(json.dumps({"model_version": version}).encode())
        if request.path.endswith("/get-download-uri"):
            return Reply(b'{"artifact_uri": "mlflow-artifacts:/1/models/m/artifacts"}')
        return Reply(json.dumps({"files": [{"path": path, "is_dir": False, "file_size": 1}]}).encode())

    with HttpBackend(answer) as server:
        connection = spec(MlflowConnection, kind="mlflow", url=server.url, network="loopback")
        with pytest.raises(RetrieveError, match="outside"):
            asyncio.run(resolve_subject(selector(alias="champion"), connection))
        assert len(server.requests) == 3


def test_a_store_that_lists_for_ever_is_given_up() -> None:
    def answer(request: Request) -> Reply:
        if request.path.endswith("/alias"):
            return Reply(b'{"model_version": {"name": "m", "version": "1", "source": "s", "run_id": ""}}')
        if request.path.endswith("/get-download-uri"):
            return Reply(b'{"artifact_uri": "mlflow-artifacts:/m"}')
        many = [{"path": f"d{n}", "is_dir": True} for n in range(3000)]
        return Reply(json.dumps({"files": many}).encode())

    with HttpBackend(answer) as server:
        connection = spec(MlflowConnection, kind="mlflow", url=server.url, network="loopback")
        with pytest.raises(RetrieveError, match="more than 10000"):
            asyncio.run(resolve_subject(selector(alias="champion"), connection))
