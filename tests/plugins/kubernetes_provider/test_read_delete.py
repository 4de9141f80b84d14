"""Refresh, import and deletion."""

from __future__ import annotations

import time
from typing import Any

import pytest

from mlops.plugins.kubernetes_provider.wire import Secret
from tests.support.apiserver import ApiServer
from tests.support.kubernetes_engine import CallError, FakeEngine, State, plan, token_of
from tests.support.kubernetes_objects import config_map, crd, deployment, job, secret, service, stateful_set, widget

pytestmark = pytest.mark.apiserver


def test_refresh_is_clean_while_only_the_server_writes(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    for obj in (deployment(namespace), stateful_set(namespace), job(namespace), service(namespace)):
        created = engine.create(obj)
        place = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
        if obj["kind"] == "Deployment":
            server.patch(place, {"metadata": {"annotations": {"someone/else": "1"}}}, manager="operator")
        refreshed = engine.read(created)
        assert refreshed.inputs == created.inputs
        assert plan(engine.refresh(created)) == {}
        assert plan(engine.plan(refreshed, obj)) == {}


def test_drift_of_an_owned_field_is_found(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = engine.create(config_map(namespace, "cm", a="1"))
    server.patch(f"/api/v1/namespaces/{namespace}/configmaps/cm", {"data": {"a": "9", "b": "theirs"}})
    refreshed = engine.read(created)
    assert refreshed.inputs["data"] == {"a": "9"}
    assert refreshed.plain["data"] == {"a": "9", "b": "theirs"}
    assert plan(engine.refresh(created)) == {"data.a": "UPDATE_REPLACE"}


@pytest.mark.parametrize(
    ("kind", "spec", "theirs", "where"),
    [
        pytest.param(
            "NetworkPolicy",
            {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}]},
            {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}], "ports": [{"port": 1}]}]},
            "spec.ingress[0].ports",
            id="a field in an element of a list",
        ),
        pytest.param(
            "NetworkPolicy",
            {"podSelector": {}, "ingress": [{"ports": [{"port": 1}]}]},
            {"ingress": [{"ports": [{"port": 1}]}, {}]},
            "spec.ingress[1]",
            id="an element of a list",
        ),
        pytest.param(
            "Service",
            {"selector": {"app": "a"}, "ports": [{"name": "http", "port": 80}]},
            {"selector": {"nobody/has": "this"}},
            "spec.selector.nobody/has",
            id="a key of a selector",
        ),
    ],
)
def test_what_was_added_to_a_value_owned_as_a_whole_is_found_and_taken_back(  # noqa: PLR0917 (what pytest gives)
    engine: FakeEngine,
    server: ApiServer,
    namespace: str,
    kind: str,
    spec: dict[str, Any],
    theirs: dict[str, Any],
    where: str,
) -> None:
    version, root = {
        "NetworkPolicy": ("networking.k8s.io/v1", "/apis/networking.k8s.io/v1"),
        "Service": ("v1", "/api/v1"),
    }[kind]
    meta = {"name": "mine", "namespace": namespace, "annotations": {"pulumi.com/skipAwait": "true"}}
    wanted = {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
    created = engine.create(wanted)
    plural = {"NetworkPolicy": "networkpolicies", "Service": "services"}[kind]
    place = f"{root}/namespaces/{namespace}/{plural}/mine"
    server.patch(place, {"spec": theirs}, manager="kubectl-patch")
    refreshed = engine.read(created)
    assert set(plan(engine.plan(refreshed, wanted))) == {where}
    updated = engine.update(refreshed, wanted)
    assert engine.read(updated).inputs == created.inputs
    assert plan(engine.plan(engine.read(updated), wanted)) == {}


def test_deleted_object_is_read_as_gone(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = engine.create(config_map(namespace, "cm"))
    server.delete(f"/api/v1/namespaces/{namespace}/configmaps/cm")
    assert engine.read(created).id == ""


def test_object_without_its_definition_is_read_and_deleted_as_gone(engine: FakeEngine, namespace: str) -> None:
    state = State(token_of(widget(namespace, "w", kind="Undefined")), "w", f"{namespace}/w")
    state.inputs = widget(namespace, "w", kind="Undefined")
    state.outputs = {**state.inputs, "__inputs": state.inputs}
    assert engine.read(state).id == ""
    engine.delete(state)


def test_object_that_became_unready_is_told_and_stored(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = engine.create(deployment(namespace))
    template = {"template": {"metadata": {"labels": {"test/fate": "pull"}}}}
    server.patch(f"/apis/apps/v1/namespaces/{namespace}/deployments/app", {"spec": template})
    deadline = time.monotonic() + 20
    while not any("ImagePullBackOff" in message for message in engine.log.messages):
        assert time.monotonic() < deadline, engine.log.messages
        assert engine.read(created).id == created.id
        time.sleep(0.2)


def test_import_takes_everything_a_program_could_have_written(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    server.create(f"/api/v1/namespaces/{namespace}/secrets", secret(namespace, "s", stringData={"a": "1"}))
    imported = engine.read(State(token_of(secret(namespace)), "s", f"{namespace}/s"))
    assert imported.inputs == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": namespace},
        "type": "Opaque",
        "data": Secret({"a": "MQ=="}),
    }
    assert plan(engine.plan(imported, secret(namespace, "s", data={"a": "MQ=="}, type="Opaque"))) == {}


def test_import_of_what_is_not_there_is_empty(engine: FakeEngine, namespace: str) -> None:
    assert engine.read(State("kubernetes:apps/v1:Deployment", "d", f"{namespace}/nothing")).id == ""


def test_delete_waits_until_the_object_and_its_dependents_are_gone(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    created = engine.create(deployment(namespace))
    engine.delete(created)
    assert server.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/app") is None
    assert server.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"] == []


def test_delete_of_what_is_gone_is_no_error(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = engine.create(config_map(namespace, "cm"))
    server.delete(f"/api/v1/namespaces/{namespace}/configmaps/cm")
    engine.delete(created)


def test_propagation_policy_is_followed(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    orphaning = {"pulumi.com/deletionPropagationPolicy": "orphan"}
    created = engine.create(deployment(namespace, annotations=orphaning))
    engine.delete(created)
    assert server.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/app") is None
    assert len(server.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]) == 1


def test_delete_of_a_namespace_waits_for_its_content(engine: FakeEngine, server: ApiServer) -> None:
    space = engine.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}}, "doomed")
    engine.create(config_map("doomed", "cm"))
    engine.delete(space)
    assert server.find("/api/v1/namespaces/doomed") is None


def test_delete_that_does_not_end_names_what_holds_it(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    held = config_map(namespace, "cm")
    held["metadata"]["finalizers"] = ["example.org/keep"]
    created = engine.create(held)
    with pytest.raises(CallError, match="Timed out waiting for deletion of ConfigMap") as failure:
        engine.delete(created, timeout=2)
    assert failure.value.partial is not None
    assert any("example.org/keep" in reason for reason in failure.value.partial.reasons)
    place = f"/api/v1/namespaces/{namespace}/configmaps/cm"
    server.later(1.0, place, {"metadata": {"finalizers": None}})
    engine.delete(created)
    assert server.find(place) is None


def test_object_that_must_not_be_deleted_is_let_go(engine: FakeEngine, server: ApiServer) -> None:
    engine.configure(server.kubeconfig(), upsertExistingObjects=True)
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"ours": "1"}}}
    created = engine.create(space, "default")
    assert server.get("/api/v1/namespaces/default")["metadata"]["labels"]["ours"] == "1"
    engine.delete(created)
    assert "ours" not in server.get("/api/v1/namespaces/default")["metadata"]["labels"]
    assert any("must not be deleted" in message for message in engine.log.messages)


def test_definition_goes_and_its_kind_is_forgotten(engine: FakeEngine, namespace: str) -> None:
    definition = engine.create(crd("fleets", "Fleet"), "fleets")
    ship = engine.create(widget(namespace, "f", kind="Fleet"), "f")
    engine.delete(definition)
    assert engine.read(ship).id == ""
    engine.delete(ship)
