"""What a killed engine had begun is taken back, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mlops import recovery
from mlops.engine import Stack
from mlops.errors import OperationError
from mlops.recovery import Found
from tests.support.container_engine import PaperEngine

LABELS = {"app.kubernetes.io/managed-by": "pulumi", "app.kubernetes.io/part-of": "oss-mlops-platform"}
PROVIDER = "urn:pulumi:t::p::pulumi:providers:kubernetes::dev"
STARTED = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
OURS = Found(STARTED + dt.timedelta(seconds=9), frozenset({"pulumi-kubernetes", "kubelet"}), {**LABELS, "x": "y"})


def begun(name: str = "web", *, operation: str = "creating", **metadata: Any) -> dict[str, Any]:
    inputs = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": LABELS, **metadata},
    }
    resource = {
        "urn": f"urn:pulumi:t::p::kubernetes:apps/v1:Deployment::{name}",
        "type": "kubernetes:apps/v1:Deployment",
        "inputs": inputs,
        "provider": f"{PROVIDER}::11111111-2222",
    }
    return {"type": operation, "resource": resource}


class FakeStack:
    """A stack whose state is a mapping."""

    def __init__(self, *pending: dict[str, Any], recorded: tuple[dict[str, Any], ...] = ()) -> None:
        provider = {"urn": PROVIDER, "type": "pulumi:providers:kubernetes", "inputs": {"kubeconfig": "text\n"}}
        self.environment: dict[str, str] = {"PATH": ""}
        self.kept = {"deployment": {"resources": [provider, *recorded], "pending_operations": list(pending)}}
        self.written = False

    def state(self) -> dict[str, Any]:
        return self.kept

    def resources(self, *, secrets: bool = False) -> list[dict[str, Any]]:
        del secrets
        return self.kept["deployment"]["resources"]

    def write_state(self, state: dict[str, Any]) -> None:
        self.kept, self.written = state, True


class FakeCluster:
    """A cluster that holds what it is given."""

    def __init__(self, **objects: Found) -> None:
        self.objects = objects

    def find(self, api_version: str, kind: str, name: str, namespace: str | None) -> Found | None:
        assert (api_version, kind, namespace) == ("apps/v1", "Deployment", "shop")
        return self.objects.get(name)

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None) -> None:
        assert (api_version, kind, namespace) == ("apps/v1", "Deployment", "shop")
        del self.objects[name]


def resolve(stack: FakeStack, cluster: FakeCluster | None, since: dt.datetime | None = STARTED) -> list[str]:
    return recovery.resolve_pending(stack, since, lambda _inputs: cluster)  # type: ignore[arg-type]


def test_unfinished_object_is_deleted_and_its_note_too() -> None:
    stack, cluster = FakeStack(begun(), begun("other", operation="updating")), FakeCluster(web=OURS)
    assert resolve(stack, cluster) == ["web"]
    assert cluster.objects == {}
    assert [each["type"] for each in stack.kept["deployment"]["pending_operations"]] == ["updating"]


def test_note_of_an_object_that_was_never_made_is_dropped() -> None:
    stack = FakeStack(begun())
    assert resolve(stack, FakeCluster()) == ["web"]
    assert stack.kept["deployment"]["pending_operations"] == []


def test_nothing_begun_writes_nothing() -> None:
    stack = FakeStack(begun(operation="deleting"))
    assert resolve(stack, FakeCluster(web=OURS)) == []
    assert not stack.written


def test_cluster_that_is_gone_took_the_object_with_it() -> None:
    stack = FakeStack(begun())
    assert resolve(stack, None) == ["web"]
    assert stack.kept["deployment"]["pending_operations"] == []


@pytest.mark.parametrize(
    "theirs",
    [
        Found(OURS.created, frozenset({"kubectl"}), OURS.labels),
        Found(OURS.created, OURS.managers, {"app": "theirs"}),
        Found(STARTED - dt.timedelta(hours=1), OURS.managers, OURS.labels),
    ],
    ids=["made by another program", "without our labels", "older than the run"],
)
def test_object_of_somebody_else_stays(theirs: Found) -> None:
    stack, cluster = FakeStack(begun()), FakeCluster(web=theirs)
    resolve(stack, cluster)
    assert cluster.objects == {"web": theirs}


NODE = "mlops-t-control-plane"


def of_kind(container: str = "id-1") -> dict[str, Any]:
    return {
        "urn": "urn:pulumi:t::p::pulumi-python:dynamic/platform:KindCluster::mlops-t",
        "type": "pulumi-python:dynamic/platform:KindCluster",
        "outputs": {"cluster_name": "mlops-t", "container": container},
    }


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PaperEngine:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    return PaperEngine(tmp_path / "engine")


COMPONENT = {
    "urn": "urn:pulumi:t::p::oss-mlops-platform:components:KindCluster::kind-cluster",
    "type": "oss-mlops-platform:components:KindCluster",
}


def lost(paper: PaperEngine, container: str = "id-1") -> bool:
    # The component comes first in a state, and has no container.
    stack = FakeStack(recorded=({**COMPONENT, "outputs": {"name": "mlops-t"}}, of_kind(container)))
    stack.environment = paper.environment
    return recovery.cluster_is_gone(stack)  # type: ignore[arg-type]


def test_cluster_of_the_stack_is_gone(paper: PaperEngine) -> None:
    assert lost(paper)
    paper.change(containers={NODE: {"id": "another", "cluster": "mlops-t", "running": True}})
    assert lost(paper), "another cluster of the same name does not have the objects"


def test_stopped_cluster_is_started_and_not_gone(paper: PaperEngine) -> None:
    paper.change(containers={NODE: {"id": "id-1", "cluster": "mlops-t", "running": False}})
    assert not lost(paper)
    assert paper.state["containers"][NODE]["running"]


def test_container_engine_that_does_not_tell_is_no_proof(paper: PaperEngine) -> None:
    paper.change(fail={"container inspect": "Cannot connect to the daemon"})
    with pytest.raises(OperationError, match=r"cannot be looked for.*Cannot connect"):
        lost(paper)


@pytest.mark.parametrize(
    ("containers", "forget"),
    [({}, ["refresh true", "up unset"]), ({NODE: {"id": "id-1", "running": True}}, ["up unset"])],
)
def test_only_objects_of_a_cluster_that_is_gone_are_forgotten_by_up(
    paper: PaperEngine, tmp_path: Path, containers: dict[str, Any], forget: list[str]
) -> None:
    paper.change(containers=containers)
    (tmp_path / "state.json").write_text(json.dumps({"deployment": {"resources": [COMPONENT, of_kind()]}}))
    pulumi = paper.folder / "bin" / "pulumi"
    pulumi.write_text(
        f"#!/bin/sh\n[ $1 = stack ] && exec cat {tmp_path}/state.json\n"
        f'echo "$1 ${{PULUMI_K8S_DELETE_UNREACHABLE-unset}}" >> {tmp_path}/told\n'
    )
    pulumi.chmod(0o755)
    Stack("t", tmp_path, paper.environment).up()
    assert (tmp_path / "told").read_text().splitlines() == forget


def test_cluster_that_is_not_ours_is_never_gone() -> None:
    assert not recovery.cluster_is_gone(FakeStack())  # type: ignore[arg-type]


def test_object_that_another_entry_owns_stays() -> None:
    owner = {"urn": "urn:pulumi:t::p::kubernetes:apps/v1:Deployment::old-name", "id": "shop/web"}
    stack = FakeStack(begun(), recorded=({**owner, "type": "kubernetes:apps/v1:Deployment", "inputs": {}},))
    cluster = FakeCluster(web=OURS)
    resolve(stack, cluster)
    assert cluster.objects == {"web": OURS}


def test_other_resources_only_lose_their_note() -> None:
    password = {"urn": "urn:pulumi:t::p::pulumi-python:dynamic/platform:Password::x", "type": "d:P", "inputs": {}}
    stack = FakeStack({"type": "creating", "resource": password})
    assert resolve(stack, FakeCluster()) == ["x"]
    assert stack.written
