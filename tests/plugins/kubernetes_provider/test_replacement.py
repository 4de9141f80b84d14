"""What changes in place and what replaces the object, in which order; what is no difference at all."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.apiserver import ApiServer
from tests.support.kubernetes_engine import FakeEngine, plan
from tests.support.kubernetes_objects import config_map, deployment, job, pod, secret, service, stateful_set

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]
SKIP = {"pulumi.com/skipAwait": "true"}


def _changed(obj: Object, path: str, value: Any) -> Object:
    changed = copy.deepcopy(obj)
    *parents, last = path.split(".")
    place: Any = changed
    for step in parents:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    place[last] = value
    return changed


def _unawaited(obj: Object) -> Object:
    return _changed(obj, "metadata.annotations", SKIP)


def _claim(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": namespace, "name": "data", "annotations": SKIP},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def _binding(namespace: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"namespace": namespace, "name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "one"},
        "subjects": [],
    }


def _claims(namespace: str) -> Object:
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    return _changed(_unawaited(stateful_set(namespace)), "spec.volumeClaimTemplates", [template])


def _class(namespace: str) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": f"class-{namespace}"},
        "provisioner": "one.example.org",
    }


CASES: list[tuple[Callable[[str], Object], str, Any, str]] = [
    (lambda ns: config_map(ns, "x"), "metadata.name", "y", "metadata.name"),
    (lambda ns: config_map(ns, "x"), "metadata.namespace", "default", "metadata.namespace"),
    (lambda ns: config_map(ns, "x"), "data.a", "2", "data.a"),
    (lambda ns: secret(ns, "x", data={"a": "MQ=="}), "data.a", "Mg==", "data.a"),
    (lambda ns: secret(ns, "x", type="one"), "type", "two", "type"),
    (lambda ns: _unawaited(deployment(ns)), "spec.selector.matchLabels.app", "b", "spec.selector.matchLabels.app"),
    (
        lambda ns: _unawaited(job(ns, fate="never")),
        "spec.template.spec.containers.0.image",
        "b:2",
        "spec.template.spec.containers[0].image",
    ),
    (
        _claims,
        "spec.volumeClaimTemplates.0.spec.resources.requests.storage",
        "2Gi",
        "spec.volumeClaimTemplates[0].spec.resources.requests.storage",
    ),
    (_claims, "spec.serviceName", "other", "spec.serviceName"),
    (_claim, "spec.storageClassName", "other", "spec.storageClassName"),
    (lambda ns: service(ns, "x", clusterIP="None"), "spec.clusterIP", "10.96.7.7", "spec.clusterIP"),
    (_binding, "roleRef.name", "two", "roleRef.name"),
    (_class, "provisioner", "two.example.org", "provisioner"),
    (lambda ns: _unawaited(pod(ns)), "spec.restartPolicy", "Never", "spec.restartPolicy"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case[3]}-{i}" for i, case in enumerate(CASES)])
def test_immutable_field_replaces(
    engine: FakeEngine, namespace: str, case: tuple[Callable[[str], Object], str, Any, str]
) -> None:
    make, path, value, expected = case
    obj = make(namespace)
    created = engine.create(obj)
    found = engine.plan(created, _changed(obj, path, value))
    assert expected in list(found.replaces)
    assert plan(found)[expected].endswith("_REPLACE")
    if not namespace_scoped(obj):
        engine.delete(created)


def namespace_scoped(obj: Object) -> bool:
    return "namespace" in obj["metadata"]


def test_field_the_server_says_is_immutable_replaces_too(engine: FakeEngine, namespace: str) -> None:
    """A claim's volumeMode is in no list of ours: validation tells."""
    claim = _claim(namespace)
    created = engine.create(claim)
    found = engine.plan(created, _changed(claim, "spec.volumeMode", "Block"))
    assert list(found.replaces) == ["spec.volumeMode"]


def test_sealed_config_map_and_secret_replace_even_when_mutable(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    engine.configure(server.kubeconfig(), enableConfigMapMutable=True, enableSecretMutable=True)
    for obj in (config_map(namespace, "cm"), secret(namespace, "s", data={"a": "MQ=="})):
        open_one = engine.create(obj)
        changed = _changed(obj, "data.a", "Mg==")
        assert plan(engine.plan(open_one, changed)) == {"data.a": "UPDATE"}
        sealed = engine.create(_changed(obj, "metadata.name", "sealed") | {"immutable": True})
        found = engine.plan(sealed, _changed(changed, "metadata.name", "sealed") | {"immutable": True})
        assert list(found.replaces) == ["data.a"]


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer", "ExternalName"])
def test_service_type_changes_in_place(engine: FakeEngine, namespace: str, kind: str) -> None:
    plain = _changed(service(namespace), "metadata.annotations", SKIP)
    changed = _changed(plain, "spec.type", kind)
    if kind == "ExternalName":
        changed["spec"]["externalName"] = "example.org"
    created = engine.create(plain)
    assert not list(engine.plan(created, changed).replaces)
    assert engine.update(created, changed).plain["spec"]["type"] == kind


def test_autonamed_object_is_replaced_by_a_new_name_first(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(config_map(namespace), "cm")
    found = engine.plan(created, config_map(namespace, a="2"))
    assert list(found.replaces) == ["data.a"]
    assert not found.deleteBeforeReplace


def test_named_object_is_deleted_before_it_is_replaced(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(config_map(namespace, "cm"))
    assert engine.plan(created, config_map(namespace, "cm", a="2")).deleteBeforeReplace
    assert not engine.plan(created, config_map(namespace, "other")).deleteBeforeReplace


def test_detailed_diff_names_each_path(engine: FakeEngine, namespace: str) -> None:
    old = _changed(deployment(namespace, replicas=1), "metadata.labels", {"a.b/c": "1", "gone": "1"})
    new = _changed(deployment(namespace, replicas=2, image="app:2"), "metadata.labels", {"a.b/c": "2"})
    new["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
    created = engine.create(old)
    assert plan(engine.plan(created, new)) == {
        'metadata.labels["a.b/c"]': "UPDATE",
        "metadata.labels.gone": "DELETE",
        "spec.replicas": "UPDATE",
        "spec.template.spec.containers[0].image": "UPDATE",
        "spec.template.spec.containers[1]": "ADD",
    }


def test_other_spelling_of_a_quantity_is_no_difference(engine: FakeEngine, namespace: str) -> None:
    def sized(cpu: Any, memory: str) -> Object:
        limits = {"limits": {"cpu": cpu, "memory": memory}}
        return _changed(deployment(namespace, replicas=0), "spec.template.spec.containers.0.resources", limits)

    created = engine.create(sized("1000m", "1024Mi"))
    assert created.inputs["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {
        "cpu": "1",
        "memory": "1Gi",
    }
    assert plan(engine.refresh(created)) == {}
    for same in (sized(1, "1Gi"), sized("1", "1048576Ki")):
        assert plan(engine.plan(engine.read(created), same)) == {}
    assert plan(engine.plan(created, sized("2", "1Gi"))) == {
        "spec.template.spec.containers[0].resources.limits.cpu": "UPDATE"
    }


def test_value_the_server_drops_is_no_difference(engine: FakeEngine, namespace: str) -> None:
    obj = _changed(deployment(namespace, replicas=0), "spec.template.spec.hostNetwork", False)
    obj = _changed(obj, "spec.template.spec.containers.0.env", [])
    created = engine.create(obj)
    assert plan(engine.refresh(created)) == {}
    assert plan(engine.plan(engine.read(created), obj)) == {}


def test_equal_inputs_cost_no_request(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    created = engine.create(config_map(namespace, "cm"))
    server.stop_api_server()
    try:
        assert plan(engine.plan(created, config_map(namespace, "cm"))) == {}
    finally:
        server.start_api_server()


def test_unready_job_is_replaced_where_asked(engine: FakeEngine, namespace: str) -> None:
    annotations = {"pulumi.com/replaceUnready": "true", **SKIP}
    stuck, done = (
        job(namespace, name, fate=fate, annotations=annotations) for name, fate in (("a", "never"), ("b", "succeed"))
    )
    first = engine.create(stuck)
    assert list(engine.plan(first, stuck).replaces) == ['metadata.annotations["pulumi.com/replaceUnready"]']
    second = engine.create(_changed(done, "metadata.annotations", {"pulumi.com/replaceUnready": "true"}), "b")
    assert not list(engine.diff(second, second.inputs).replaces)


def test_object_made_by_the_official_plugin_needs_no_change(engine: FakeEngine, namespace: str) -> None:
    """State as pulumi-kubernetes 4.32 wrote it: inputs, live object, `__inputs` and the two names beside it."""
    created = engine.create(deployment(namespace, replicas=0))
    assert set(created.outputs) == {
        "apiVersion", "kind", "metadata", "spec", "status", "__inputs", "__initialApiVersion", "__fieldManager",
    }  # fmt: skip
    assert plan(engine.plan(created, deployment(namespace, replicas=0))) == {}
