"""Updates: server-side apply by one manager per object, hand-over, conflicts, what is left to others."""

from __future__ import annotations

import pytest

from tests.support.apiserver import ApiServer
from tests.support.kubernetes_engine import CallError, FakeEngine, State, plan
from tests.support.kubernetes_objects import config_map, crd, deployment

pytestmark = pytest.mark.apiserver


@pytest.fixture
def mutable(engine: FakeEngine, server: ApiServer) -> FakeEngine:
    return engine.configure(server.kubeconfig(), enableConfigMapMutable=True)


def _managers(state: State) -> set[tuple[str, str]]:
    return {(entry["manager"], entry["operation"]) for entry in state.plain["metadata"]["managedFields"]}


def test_update_applies_with_the_manager_kept_in_state(mutable: FakeEngine, namespace: str) -> None:
    created = mutable.create(config_map(namespace, "cm", a="1"))
    updated = mutable.update(created, config_map(namespace, "cm", a="2"))
    assert updated.plain["__fieldManager"] == created.plain["__fieldManager"]
    assert _managers(updated) == {(created.plain["__fieldManager"], "Apply")}
    assert updated.plain["metadata"]["uid"] == created.plain["metadata"]["uid"]


def test_field_removed_from_the_program_is_removed_from_the_object(mutable: FakeEngine, namespace: str) -> None:
    created = mutable.create(config_map(namespace, "cm", a="1", b="2"))
    assert plan(mutable.plan(created, config_map(namespace, "cm", a="1"))) == {"data.b": "DELETE"}
    updated = mutable.update(created, config_map(namespace, "cm", a="1"))
    assert updated.plain["data"] == {"a": "1"}


def test_field_that_others_added_is_left_alone(mutable: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = mutable.create(config_map(namespace, "cm", a="1"))
    server.patch(f"/api/v1/namespaces/{namespace}/configmaps/cm", {"data": {"theirs": "1"}}, manager="operator")
    updated = mutable.update(created, config_map(namespace, "cm", a="2"))
    assert updated.plain["data"] == {"a": "2", "theirs": "1"}


def test_edit_with_kubectl_is_repaired_without_a_conflict(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    created = engine.create(deployment(namespace, replicas=1))
    server.patch(f"/apis/apps/v1/namespaces/{namespace}/deployments/app", {"spec": {"replicas": 3}})
    drifted = engine.read(created)
    assert plan(engine.plan(drifted, deployment(namespace, replicas=1))) == {"spec.replicas": "UPDATE"}
    assert engine.update(drifted, deployment(namespace, replicas=1)).plain["spec"]["replicas"] == 1


def test_conflict_with_another_manager_is_an_error_unless_forced(
    mutable: FakeEngine, server: ApiServer, namespace: str
) -> None:
    created = mutable.create(config_map(namespace, "cm", a="1"))
    server.patch(f"/api/v1/namespaces/{namespace}/configmaps/cm", {"data": {"a": "theirs"}}, manager="operator")
    with pytest.raises(CallError, match=r'(?s)field conflict detected.*conflict with "operator"'):
        mutable.update(created, config_map(namespace, "cm", a="2"))
    forced = config_map(namespace, "cm", a="2")
    forced["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}
    assert mutable.update(created, forced).plain["data"] == {"a": "2"}


def test_provider_wide_patch_force(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    engine.configure(server.kubeconfig(), enableConfigMapMutable=True, enablePatchForce=True)
    created = engine.create(config_map(namespace, "cm", a="1"))
    server.patch(f"/api/v1/namespaces/{namespace}/configmaps/cm", {"data": {"a": "theirs"}}, manager="operator")
    assert engine.update(created, config_map(namespace, "cm", a="2")).plain["data"] == {"a": "2"}


def test_named_field_manager_takes_over_and_the_old_one_lets_go(mutable: FakeEngine, namespace: str) -> None:
    created = mutable.create(config_map(namespace, "cm", a="1"))
    first = mutable.update(created, config_map(namespace, "cm", a="2"))
    named = config_map(namespace, "cm", a="3")
    named["metadata"]["annotations"] = {"pulumi.com/patchFieldManager": "team-a", "pulumi.com/patchForce": "true"}
    updated = mutable.update(first, named)
    assert updated.plain["__fieldManager"] == "team-a"
    assert {manager for manager, _ in _managers(mutable.read(updated))} == {"team-a"}


def test_ignored_field_owned_by_another_is_left_to_it(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = engine.create(deployment(namespace, replicas=1))
    place = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
    first = engine.update(created, deployment(namespace, replicas=1, image="app:2"))
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}, "spec": {"replicas": 2}}
    server.request("PATCH", f"{place}?fieldManager=autoscaler&force=true", scaled, "application/apply-patch+yaml")
    updated = engine.update(first, deployment(namespace, replicas=1, image="app:3"), ignore=["spec.replicas"])
    assert updated.plain["spec"]["replicas"] == 2
    assert engine.plan(updated, deployment(namespace, replicas=5, image="app:3"), ["spec.replicas"]).changes == 1


def test_definition_is_replaced_in_place_and_keeps_its_objects(engine: FakeEngine) -> None:
    created = engine.create(crd("tools", "Tool"), "tools")
    changed = crd("tools", "Tool")
    changed["spec"]["names"]["shortNames"] = ["tl"]
    assert plan(engine.plan(created, changed)) == {"spec.names.shortNames": "ADD"}
    updated = engine.update(created, changed)
    assert updated.plain["metadata"]["uid"] == created.plain["metadata"]["uid"]
    assert updated.plain["spec"]["names"]["shortNames"] == ["tl"]
    engine.delete(updated)


def test_schema_extensions_are_underscored_in_state_as_typed_sdks_read_them(engine: FakeEngine) -> None:
    created = engine.create(crd("parts", "Part"), "parts")
    schema = created.plain["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert schema == {"type": "object", "x_kubernetes_preserve_unknown_fields": True}
    assert plan(engine.plan(created, crd("parts", "Part"))) == {}
    assert plan(engine.refresh(created)) == {}
    engine.delete(created)


def test_preview_of_an_update_shows_server_side_result(mutable: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = mutable.create(config_map(namespace, "cm", a="1"))
    found = mutable.preview_update(created, config_map(namespace, "cm", a="2", b="3"))
    assert found["data"] == {"a": "2", "b": "3"}
    assert found["metadata"]["uid"] == created.plain["metadata"]["uid"]
    assert server.get(f"/api/v1/namespaces/{namespace}/configmaps/cm")["data"] == {"a": "1"}


def test_update_of_a_deleted_object_says_what_to_do(mutable: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = mutable.create(config_map(namespace, "cm"))
    server.delete(f"/api/v1/namespaces/{namespace}/configmaps/cm")
    with pytest.raises(CallError, match="pulumi refresh"):
        mutable.update(created, config_map(namespace, "cm", a="2"))


def test_without_server_side_apply_merge_patches_are_sent(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    engine.configure(server.kubeconfig(), enableServerSideApply=False, enableConfigMapMutable=True)
    created = engine.create(config_map(namespace, "cm", a="1", b="2"))
    assert created.plain["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "pulumi"}
    updated = engine.update(created, config_map(namespace, "cm", a="3"))
    assert updated.plain["data"] == {"a": "3"}
    assert updated.plain["__fieldManager"] == "pulumi-kubernetes"
