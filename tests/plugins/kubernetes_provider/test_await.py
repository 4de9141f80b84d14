"""Waiting: what ready means for each kind, what is said meanwhile, what a timeout tells."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from tests.support.apiserver import ApiServer
from tests.support.kubernetes_engine import CallError, FakeEngine
from tests.support.kubernetes_objects import (
    crd,
    daemon_set,
    deployment,
    job,
    pod,
    service,
    stateful_set,
    widget,
)

pytestmark = pytest.mark.apiserver

Object = dict[str, Any]


def _reasons(failure: pytest.ExceptionInfo[CallError]) -> str:
    assert failure.value.partial is not None
    return "\n".join(failure.value.partial.reasons)


def test_deployment_is_awaited_until_its_pods_are_available(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(deployment(namespace, replicas=2))
    assert created.plain["status"]["availableReplicas"] == 2
    assert any("Waiting for app ReplicaSet to be available (0/2 Pods available)" in s for s in engine.log.statuses)
    assert engine.log.statuses[-1] == "✅ Deployment initialization complete"


def test_update_of_a_deployment_waits_for_the_new_pods(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(deployment(namespace))
    updated = engine.update(created, deployment(namespace, image="app:2"))
    status = updated.plain["status"]
    assert (status["updatedReplicas"], status["replicas"], status["availableReplicas"]) == (1, 1, 1)
    with pytest.raises(CallError, match="timed out"):
        engine.update(updated, deployment(namespace, image="app:3", fate="pull"), timeout=3)


def test_stateful_set_and_daemon_set_are_awaited(engine: FakeEngine, namespace: str) -> None:
    assert engine.create(stateful_set(namespace)).plain["status"]["readyReplicas"] == 1
    assert engine.create(daemon_set(namespace)).plain["status"]["numberAvailable"] == 1
    with pytest.raises(CallError) as failure:
        engine.create(daemon_set(namespace, "stuck", fate="pull"), timeout=3)
    assert "ImagePullBackOff" in _reasons(failure)


def test_update_of_a_stateful_set_waits_for_the_new_revision(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(stateful_set(namespace))
    status = engine.update(created, stateful_set(namespace, image="db:2")).plain["status"]
    assert status["currentRevision"] == status["updateRevision"]


def test_job_is_awaited_until_it_succeeded(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(job(namespace))
    assert created.plain["status"]["succeeded"] == 1
    waiting = f'Waiting for Job "{namespace}/once" to succeed (Active: '
    assert any(status.startswith(waiting) for status in engine.log.statuses)


def test_failed_job_fails_at_once_and_tells_its_last_words(engine: FakeEngine, namespace: str) -> None:
    started = time.monotonic()
    with pytest.raises(CallError, match="failed to initialize") as failure:
        engine.create(job(namespace, fate="fail"))
    assert time.monotonic() - started < 30
    reasons = _reasons(failure)
    assert "BackoffLimitExceeded" in reasons
    assert "container c: [Error] exited with code 3 the data is not there" in reasons


def test_pod_is_awaited_and_a_failed_one_is_told(engine: FakeEngine, namespace: str) -> None:
    assert engine.create(pod(namespace)).plain["status"]["phase"] == "Running"
    assert engine.create(pod(namespace, "done", fate="succeed")).plain["status"]["phase"] == "Succeeded"
    with pytest.raises(CallError) as failure:
        engine.create(pod(namespace, "bad", fate="fail"))
    assert "exited with code 3" in _reasons(failure)


def test_service_is_awaited_until_it_targets_a_ready_pod(engine: FakeEngine, namespace: str) -> None:
    with pytest.raises(CallError) as failure:
        engine.create(service(namespace), timeout=2)
    assert "Service does not target any Pods" in _reasons(failure)
    assert "[1/3] Finding Pods to direct traffic to" in engine.log.statuses
    engine.create(deployment(namespace, "web"))
    engine.create(service(namespace, "web"))
    assert engine.log.statuses[-1] == "✅ Service initialization complete"


@pytest.mark.parametrize(
    "spec",
    [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "example.org"}, {"selector": None}],
    ids=["headless", "external", "without selector"],
)
def test_service_that_targets_no_pods_by_design_is_ready_at_once(
    engine: FakeEngine, namespace: str, spec: dict[str, Any]
) -> None:
    assert engine.create(service(namespace, **spec)).id == f"{namespace}/app"


def test_load_balancer_is_awaited_until_it_has_an_address(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    engine.create(deployment(namespace))
    place = f"/api/v1/namespaces/{namespace}/services/app/status"
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    server.later(2.0, place, status)
    created = engine.create(service(namespace, type="LoadBalancer"))
    assert created.plain["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"
    assert "[2/3] Attempting to allocate IP address to Service" in engine.log.statuses


def _ingress(namespace: str) -> Object:
    backend = {"service": {"name": "app", "port": {"number": 80}}}
    paths = [{"path": "/x", "pathType": "Prefix", "backend": backend}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": namespace, "name": "i"},
        "spec": {"rules": [{"host": "a.example.org", "http": {"paths": paths}}]},
    }


def test_ingress_is_awaited_until_it_has_targets_and_an_address(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    with pytest.raises(CallError) as failure:
        engine.create(_ingress(namespace), timeout=2)
    assert 'No matching service found for ingress rule: "a.example.org/x" -> "app"' in _reasons(failure)
    server.delete(f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/i")
    engine.create(deployment(namespace))
    engine.create(service(namespace))
    place = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/i/status"
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    server.later(2.0, place, status)
    assert engine.create(_ingress(namespace)).id == f"{namespace}/i"


def _class(name: str, mode: str) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "test.example.org",
        "volumeBindingMode": mode,
    }


def _claim(namespace: str, storage_class: str, name: str = "data") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def test_claim_is_awaited_unless_its_class_waits_for_the_first_consumer(engine: FakeEngine, namespace: str) -> None:
    lazy, eager = f"lazy-{namespace}", f"eager-{namespace}"
    engine.create(_class(lazy, "WaitForFirstConsumer"), "lazy")
    engine.create(_class(eager, "Immediate"), "eager")
    assert engine.create(_claim(namespace, lazy), "lazy").plain["status"]["phase"] == "Pending"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"pv-{namespace}"},
        "spec": {
            "claimRef": {"namespace": namespace, "name": "late"},
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": eager,
            "hostPath": {"path": "/nowhere"},
        },
    }
    with pytest.raises(CallError) as failure:
        engine.create(_claim(namespace, eager, "early"), "eager", timeout=2)
    assert "is not bound (Pending)" in _reasons(failure)
    engine.create(volume, "pv")
    assert engine.create(_claim(namespace, eager, "late"), "eager").plain["status"]["phase"] == "Bound"


def test_definition_is_awaited_until_objects_of_its_kind_can_be_created(engine: FakeEngine, namespace: str) -> None:
    definition = engine.create(crd("boats", "Boat"), "boats")
    conditions = {item["type"]: item["status"] for item in definition.plain["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert engine.create(widget(namespace, "b", kind="Boat"), "b").id == f"{namespace}/b"
    assert not any("no matches" in status for status in engine.log.statuses)
    engine.delete(definition)


def test_namespace_is_awaited_until_it_is_active(engine: FakeEngine, server: ApiServer) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fresh"}}
    assert engine.create(body).plain["status"]["phase"] == "Active"
    server.delete("/api/v1/namespaces/fresh")


@pytest.fixture(scope="module")
def trains(server: ApiServer) -> str:
    server.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd("trains", "Train"))
    deadline = time.monotonic() + 20
    while server.find("/apis/test.example.org/v1/trains") is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return "trains"


@pytest.mark.parametrize(
    "wait",
    [
        "condition=Ready",
        "condition=Broken=False",
        "jsonpath={.status.phase}=Running",
        "jsonpath={.status.urls[*]}",
        "jsonpath=$.status.conditions[?@.type=='Ready'].status=True",
        json.dumps(["condition=Ready", "jsonpath={.status.phase}=Running"]),
    ],
)
def test_custom_resource_waits_for_what_its_annotation_says(
    engine: FakeEngine, server: ApiServer, namespace: str, trains: str, wait: str
) -> None:
    place = f"/apis/test.example.org/v1/namespaces/{namespace}/{trains}/t/status"
    first = {"status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False", "reason": "Slow"}]}}
    last = {
        "status": {
            "phase": "Running",
            "urls": ["a"],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Broken", "status": "False"}],
        }
    }
    server.later(0.5, place, first)
    server.later(1.5, place, last)
    train = widget(namespace, "t", kind="Train", annotations={"pulumi.com/waitFor": wait})
    assert engine.create(train, "t").plain["status"]["phase"] == "Running"
    assert any(status.startswith("Waiting for ") for status in engine.log.statuses)


def test_custom_resource_without_an_annotation_is_ready_at_once(
    engine: FakeEngine, namespace: str, trains: str
) -> None:
    del trains
    assert "status" not in engine.create(widget(namespace, "t", kind="Train"), "t").plain


def test_condition_that_does_not_come_is_told(engine: FakeEngine, namespace: str, trains: str) -> None:
    del trains
    train = widget(namespace, "t", kind="Train", annotations={"pulumi.com/waitFor": "condition=Ready"})
    with pytest.raises(CallError) as failure:
        engine.create(train, "t", timeout=1)
    assert 'Waiting for condition "Ready"' in _reasons(failure)


def test_unknown_condition_is_refused(engine: FakeEngine, namespace: str) -> None:
    wrong = deployment(namespace, annotations={"pulumi.com/waitFor": "ready"})
    with pytest.raises(CallError, match='expected a "jsonpath=" or "condition=" prefix'):
        engine.create(wrong)


def test_skip_await_does_not_wait(engine: FakeEngine, namespace: str) -> None:
    skipped = deployment(namespace, fate="never", annotations={"pulumi.com/skipAwait": "true"})
    started = time.monotonic()
    created = engine.create(skipped)
    assert time.monotonic() - started < 30
    engine.delete(created)


def test_timeout_is_set_by_annotation_and_by_custom_timeouts(engine: FakeEngine, namespace: str) -> None:
    slow = deployment(namespace, fate="never", annotations={"pulumi.com/timeoutSeconds": "1"})
    started = time.monotonic()
    with pytest.raises(CallError, match="'app' timed out waiting to be Ready"):
        engine.create(slow)
    assert 1 <= time.monotonic() - started < 30
    slow["metadata"] = {"namespace": namespace, "name": "b", "annotations": {"pulumi.com/timeoutSeconds": "60"}}
    started = time.monotonic()
    with pytest.raises(CallError, match="'b' timed out waiting to be Ready"):
        engine.create(slow, timeout=1)
    assert 1 <= time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        (
            "pull",
            [
                'container c: [ImagePullBackOff] Back-off pulling image "nowhere/nothing:1"',
                "event Failed: Failed to pull",
            ],
        ),
        ("unscheduled", ["[Unschedulable] 0/1 nodes are available", "event FailedScheduling"]),
    ],
)
def test_timeout_names_the_pod_its_reason_and_its_events(
    engine: FakeEngine, namespace: str, fate: str, expected: list[str]
) -> None:
    with pytest.raises(CallError, match="timed out waiting to be Ready") as failure:
        engine.create(deployment(namespace, fate=fate), timeout=3)
    reasons = _reasons(failure)
    assert f"Pod {namespace}/app-" in reasons
    for text in expected:
        assert text in reasons


def test_workload_that_may_not_start_pods_tells_why(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    server.patch(f"/api/v1/namespaces/{namespace}", label)
    with pytest.raises(CallError) as failure:
        engine.create(deployment(namespace), timeout=3)
    assert 'violates PodSecurity "restricted:latest"' in _reasons(failure)


def test_failed_wait_stores_the_object_and_the_next_update_continues(engine: FakeEngine, namespace: str) -> None:
    with pytest.raises(CallError) as failure:
        engine.create(deployment(namespace, fate="pull"), timeout=2)
    stored = engine.stored(failure.value, deployment(namespace, fate="pull"))
    assert stored.id == f"{namespace}/app"
    assert stored.plain["metadata"]["uid"]
    continued = engine.update(stored, deployment(namespace, fate="ready"))
    assert continued.plain["metadata"]["uid"] == stored.plain["metadata"]["uid"]
    assert continued.plain["status"]["availableReplicas"] == 1


def test_object_deleted_during_the_wait_ends_it(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    place = f"/apis/apps/v1/namespaces/{namespace}/deployments/app"
    threading.Timer(1.0, lambda: server.delete(place)).start()
    with pytest.raises(CallError, match="was deleted while waiting"):
        engine.create(deployment(namespace, fate="never"))
