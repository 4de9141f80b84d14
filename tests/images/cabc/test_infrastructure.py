"""`infrastructure` over a file and over a real API server, with the auditor's own rights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc.interfaces.base import ExtractError, RetrieveError
from cabc_platform.documents import Document, canonical
from cabc_platform.infrastructure import InfrastructureConnection, InfrastructureInterface, InfrastructurePlugin
from pydantic import ValidationError

from components._core import paths
from mlops.evidence.document import following
from mlops.evidence.keeping import ClusterChain
from mlops.loop.cluster import Cluster
from tests.support.apiserver import ApiServer, running_api_server
from tests.support.retrieval import retrieve, spec, value

MODEL = {"inferenceService": "models/loan-approval", "model": "loan-approval", "version": "3"}
IMAGES = [
    {"reference": "localhost/oss-mlops-platform/python:ab", "origin": "built here", "recipe": "python", "key": "ab"},
    {"reference": "quay.io/a/b:1", "origin": "registry", "registry": "quay.io", "digest": None},
    {"reference": "quay.io/a/c@sha256:0", "origin": "registry", "registry": "quay.io", "digest": "sha256:0"},
]


def chain() -> list[Document]:
    """Return two operations, and two comparisons of which the last found something."""
    found: list[Document] = []
    for minute, sha in ((0, "a"), (10, "b")):
        facts = {
            "update": {"ended": f"2024-11-30T12:{minute:02}:00Z", "result": "succeeded"},
            "commit": {"sha": sha * 40, "dirty": sha == "b"},
            "images": {"items": IMAGES, "leftOut": 0},
            "served": {"items": [MODEL], "leftOut": 0},
            "recorded": {"at": f"2024-11-30T12:{minute:02}:30Z"},
        }
        found.append(following(found, "update", facts))
    for minute, objects in ((20, []), (30, [{"object": "mlflow/mlflow", "since": "2024-11-30T12:30:00Z"}])):
        drift = {"objects": len(objects), "open": {"items": objects, "leftOut": 0}}
        facts = {"drift": drift, "recorded": {"at": f"2024-11-30T12:{minute}:00Z"}}
        found.append(following(found, "drift", facts))
    return found


def asked(query: str, **keys: Any) -> InfrastructureInterface:
    return InfrastructureInterface.model_validate_json(
        json.dumps({"kind": "infrastructure", "connection": "c", "query": query, **keys})
    )


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Give an API server with the documents, and an account that may read them and nothing else."""
    for server in running_api_server(tmp_path_factory, controllers=False):
        place = "/api/v1/namespaces/infrastructure-evidence"
        server.create("/api/v1/namespaces", {"metadata": {"name": "infrastructure-evidence"}})
        ClusterChain(Cluster(json.dumps(server.kubeconfig()))).put(chain())
        server.create(f"{place}/configmaps", {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "-"}})
        server.create(f"{place}/serviceaccounts", {"metadata": {"name": "auditor"}})
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/infrastructure-evidence"
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
        server.create(f"{roles}/roles", {"metadata": {"name": "evidence-reader"}, "rules": rules})
        group = "system:serviceaccounts:infrastructure-evidence"
        binding = {
            "metadata": {"name": "evidence-reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "evidence-reader"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        }
        server.create(f"{roles}/rolebindings", binding)
        yield server


@pytest.fixture(params=["file", pytest.param("cluster", marks=pytest.mark.apiserver)])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> InfrastructureConnection:
    if request.param == "file":
        file = tmp_path / "trial.jsonl"
        file.write_text("".join(f"{entry.text}\n" for entry in chain()) + '{"cut of')
        return spec(InfrastructureConnection, kind="infrastructure", file=str(file))
    server: ApiServer = request.getfixturevalue("api_server")
    account = "/api/v1/namespaces/infrastructure-evidence/serviceaccounts/auditor/token"
    token = server.create(account, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    config = server.kubeconfig()
    config["users"][0]["user"]["token"] = token
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    return spec(
        InfrastructureConnection, kind="infrastructure", kubeconfig=str(tmp_path / "kubeconfig"), network="loopback"
    )


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        (asked("latest", pointer="/document/commit/sha"), "b" * 40),
        (asked("latest", pointer="/document/commit/dirty"), True),
        (asked("latest", pointer="/digest"), chain()[1].digest),
        (asked("at", time="2024-11-30T12:05:00Z", pointer="/document/commit/sha"), "a" * 40),
        (asked("at", time="2024-11-30T12:10:00Z", pointer="/document/number"), 2),
        (asked("drift", pointer="/open"), 1),
        (asked("drift", jsonpath="$.objects[*]"), "mlflow/mlflow"),
        (asked("images", pointer="/unpinned"), 1),
        (asked("images", pointer="/builtHere"), 1),
        (asked("served", jsonpath="$.models[?@.model == 'loan-approval'].version"), "3"),
        (asked("chain", pointer="/holds"), True),
        (asked("chain", pointer="/documents"), 4),
    ],
    ids=lambda found: found.query if isinstance(found, InfrastructureInterface) else str(found),
)
def test_questions(connection: InfrastructureConnection, question: InfrastructureInterface, wanted: object) -> None:
    assert value(InfrastructurePlugin(), question, connection) == wanted


def test_ages_count_from_what_the_document_says(connection: InfrastructureConnection) -> None:
    latest = value(InfrastructurePlugin(), asked("latest", pointer="/ageSeconds"), connection)
    open_for = value(InfrastructurePlugin(), asked("drift", pointer="/longestOpenSeconds"), connection)
    assert isinstance(latest, int)
    assert isinstance(open_for, int)
    assert latest - open_for == pytest.approx(1200, abs=60)


def test_before_the_first_operation_there_is_no_answer(connection: InfrastructureConnection) -> None:
    with pytest.raises(RetrieveError, match="no operation had ended"):
        retrieve(InfrastructurePlugin(), asked("at", time="2024-11-30T11:59:59Z", pointer=""), connection)


@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_a_broken_chain_gives_no_value(tmp_path: Path, damage: str) -> None:
    whole = [entry.text for entry in chain()]
    broken = [whole[0], *whole[2:]] if damage == "removed" else [whole[0].replace("a" * 40, "c" * 40), *whole[1:]]
    (tmp_path / "trial.jsonl").write_text("\n".join(broken) + "\n")
    connection = spec(InfrastructureConnection, kind="infrastructure", file=str(tmp_path / "trial.jsonl"))
    with pytest.raises(RetrieveError, match="does not hold"):
        retrieve(InfrastructurePlugin(), asked("latest", pointer=""), connection)
    assert value(InfrastructurePlugin(), asked("chain", pointer="/holds"), connection) is False


def test_no_document_is_no_chain_that_holds(tmp_path: Path) -> None:
    (tmp_path / "trial.jsonl").write_text("")
    connection = spec(InfrastructureConnection, kind="infrastructure", file=str(tmp_path / "trial.jsonl"))
    assert value(InfrastructurePlugin(), asked("chain", pointer="/holds"), connection) is False
    with pytest.raises(RetrieveError, match="there is no document"):
        retrieve(InfrastructurePlugin(), asked("drift", pointer=""), connection)


@pytest.mark.parametrize("text", ["nothing", "[]", canonical({"format": "other", "number": 1}), '{"number":true}'])
def test_what_is_no_document_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "trial.jsonl").write_text(f"{text}\n")
    connection = spec(InfrastructureConnection, kind="infrastructure", file=str(tmp_path / "trial.jsonl"))
    with pytest.raises(RetrieveError):
        retrieve(InfrastructurePlugin(), asked("chain", pointer=""), connection)


def test_a_whole_answer_is_no_value(connection: InfrastructureConnection) -> None:
    with pytest.raises(ExtractError):
        value(InfrastructurePlugin(), asked("latest"), connection)


@pytest.mark.apiserver
def test_a_cluster_that_refuses_is_an_error(api_server: ApiServer, tmp_path: Path) -> None:
    config = api_server.kubeconfig()
    config["users"][0]["user"]["token"] = "nobody"  # noqa: S105 (refused, as it should be)
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    connection = spec(
        InfrastructureConnection, kind="infrastructure", kubeconfig=str(tmp_path / "kubeconfig"), network="loopback"
    )
    with pytest.raises(RetrieveError, match="401"):
        retrieve(InfrastructurePlugin(), asked("chain", pointer=""), connection)


def test_time_belongs_to_one_query() -> None:
    with pytest.raises(ValidationError, match="time"):
        asked("latest", time="2024-11-30T12:00:00Z")
    with pytest.raises(ValidationError, match="time"):
        asked("at")
    with pytest.raises(ValidationError, match="either"):
        spec(InfrastructureConnection, kind="infrastructure", file="f", in_cluster=True)


SPECIFICATION = """\
conformitySpecification:
  id: operated
  version: 1
  mode: self-assessment
  parties: [{id: bank, role: auditee}]
  subject: {name: scoring}
  dimensions:
    - id: operations
      requirements:
        - id: infrastructure
          severity: high
          frequency: P1D
          metrics:
            - id: evidence
              measurements:
                - id: succeeded
                  interface: {kind: infrastructure, connection: i, query: latest, pointer: /document/update/result}
                  dataType: string
                  comparison: EqualTo
                  target: succeeded
                - id: holds
                  interface: {kind: infrastructure, connection: i, query: chain, pointer: /holds}
                  dataType: boolean
                  comparison: EqualTo
                  target: true
"""


def test_a_run_of_the_installed_plugin(tmp_path: Path) -> None:
    """Install it as the image does, and let `cabc` assess a document with it."""
    shutil.copytree(paths.CHECKOUT / "images" / "cabc" / "plugin", tmp_path / "source")
    uv = str(Path(sys.executable).with_name("uv"))
    command = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--target",
        str(tmp_path / "site"),
        str(tmp_path / "source"),
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    home = tmp_path / ".cabc"
    home.mkdir()
    (home / "trial.jsonl").write_text("".join(f"{entry.text}\n" for entry in chain()))
    (home / "connections.yaml").write_text("connections:\n  i: {kind: infrastructure, file: trial.jsonl}\n")
    (tmp_path / "spec.yaml").write_text(SPECIFICATION)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONWARNINGS": ""}
    program = [sys.executable, "-c", "from cabc.cli import main; main()"]
    ran = subprocess.run(
        [*program, "assess", "spec.yaml", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["status"]["status"] == "conformant"
