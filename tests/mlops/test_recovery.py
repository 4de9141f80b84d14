"""What a killed engine had begun is taken back, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mlops import recovery
from mlops.recovery import Found

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
        assert secrets
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
