"""Creation: how it is recorded, what it adopts (nothing), what it retries, what state it leaves."""

from __future__ import annotations

import threading
import time
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from mlops.plugins.kubernetes_provider.wire import Unknown
from tests.support.apiserver import ApiServer
from tests.support.kubernetes_engine import CallError, FakeEngine, plan
from tests.support.kubernetes_objects import config_map, crd, deployment, service, widget

pytestmark = pytest.mark.apiserver


def test_outputs_are_the_live_object_with_inputs_and_manager(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(config_map(namespace, "cm", a="1"))
    found = created.plain
    assert found["metadata"]["uid"]
    assert found["__inputs"] == created.inputs == config_map(namespace, "cm", a="1")
    assert found["__initialApiVersion"] == "v1"
    assert found["__fieldManager"].startswith("pulumi-kubernetes-")


def test_creation_is_recorded_as_a_client_side_create(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(config_map(namespace, "cm"))
    managers = [(entry["manager"], entry["operation"]) for entry in created.plain["metadata"]["managedFields"]]
    assert managers == [("pulumi-kubernetes", "Update")]


def test_existing_object_is_not_adopted(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    server.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace, "cm", a="theirs"))
    with pytest.raises(CallError, match="already exists"):
        engine.create(config_map(namespace, "cm", a="ours"))
    assert server.get(f"/api/v1/namespaces/{namespace}/configmaps/cm")["data"] == {"a": "theirs"}


def test_upsert_takes_an_existing_object_over(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    server.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace, "cm", a="1"))
    engine.configure(server.kubeconfig(), upsertExistingObjects=True)
    engine.create(config_map(namespace, "cm", a="1", b="2"))
    assert server.get(f"/api/v1/namespaces/{namespace}/configmaps/cm")["data"] == {"a": "1", "b": "2"}


def test_interrupted_creation_is_continued_by_the_next_run(server: ApiServer, namespace: str, journal: Path) -> None:
    first = FakeEngine(journal).configure(server.kubeconfig())
    killed = first.create(config_map(namespace), "cm")
    first.kill()
    with FakeEngine(journal) as second:
        second.configure(server.kubeconfig())
        continued = second.create(config_map(namespace, a="2"), "cm")
        assert continued.id == killed.id
        assert continued.plain["metadata"]["uid"] == killed.plain["metadata"]["uid"]
        assert continued.plain["data"] == {"a": "2"}
        assert any("interrupted" in message for message in second.log.messages)


def test_finished_run_leaves_no_claim_on_its_objects(server: ApiServer, namespace: str, journal: Path) -> None:
    with FakeEngine(journal) as first:
        first.configure(server.kubeconfig()).create(config_map(namespace, "cm"), "cm")
    with FakeEngine(journal) as second, pytest.raises(CallError, match="already exists"):
        second.configure(server.kubeconfig()).create(config_map(namespace, "cm"), "cm")


def test_creation_waits_for_a_kind_defined_a_moment_later(engine: FakeEngine, namespace: str) -> None:
    definition = crd("gadgets", "Gadget")
    made = []
    maker = threading.Timer(1.0, lambda: made.append(engine.create(definition, "gadgets")))
    maker.start()
    try:
        gadget = engine.create(widget(namespace, "g", kind="Gadget"), "g")
        assert gadget.id == f"{namespace}/g"
        assert any("no matches for kind" in status for status in engine.log.statuses)
    finally:
        maker.join()
        engine.delete(made[0])


def test_creation_waits_for_a_namespace_made_a_moment_later(engine: FakeEngine, server: ApiServer) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "late"}}
    threading.Timer(1.0, lambda: server.create("/api/v1/namespaces", body)).start()
    assert engine.create(config_map("late", "cm")).id == "late/cm"
    server.delete("/api/v1/namespaces/late")


def test_creation_waits_for_a_namesake_that_is_going_away(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    place = f"/api/v1/namespaces/{namespace}/configmaps"
    leaving = config_map(namespace, "cm")
    leaving["metadata"]["finalizers"] = ["example.org/keep"]
    old = server.create(place, leaving)
    server.delete(f"{place}/cm")
    server.later(1.0, f"{place}/cm", {"metadata": {"finalizers": None}})
    assert engine.create(config_map(namespace, "cm")).plain["metadata"]["uid"] != old["metadata"]["uid"]


def test_outage_of_the_api_server_is_survived(engine: FakeEngine, server: ApiServer, namespace: str) -> None:
    engine.create(config_map(namespace, "before"))
    server.stop_api_server()
    starter = threading.Thread(target=server.start_api_server)
    starter.start()
    try:
        assert engine.create(config_map(namespace, "during"), "during").id == f"{namespace}/during"
    finally:
        starter.join()


def test_admission_webhook_that_is_not_up_yet_is_waited_for(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    place, only_here = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", {"test/webhook": "yes"}
    webhook = {
        "name": "closed.example.org",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "objectSelector": {"matchLabels": only_here},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [webhook],
    }
    server.create(place, configuration)
    watched = config_map(namespace, "cm")
    watched["metadata"]["labels"] = only_here
    _wait_until_refused(server, f"/api/v1/namespaces/{namespace}/configmaps", watched)
    threading.Timer(1.0, lambda: server.delete(f"{place}/{namespace}")).start()
    started = time.monotonic()
    assert engine.create(watched).id == f"{namespace}/cm"
    assert time.monotonic() - started > 1


def _wait_until_refused(server: ApiServer, place: str, body: dict[str, Any]) -> None:
    """Wait until the API server has seen a new webhook."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            server.create(f"{place}?dryRun=All", body)
        except urllib.error.HTTPError:
            return
        time.sleep(0.1)
    pytest.fail("the webhook is not called")


def test_misspelt_field_of_a_built_in_kind_is_refused(engine: FakeEngine, namespace: str) -> None:
    wrong = deployment(namespace)
    wrong["spec"]["replcas"] = 2
    with pytest.raises(CallError, match=r'unknown field "spec.replcas"'):
        engine.create(wrong)


def test_preview_of_a_creation_shows_server_side_defaults(
    engine: FakeEngine, server: ApiServer, namespace: str
) -> None:
    found = engine.preview_create(service(namespace, "app"))
    assert found["spec"]["type"] == "ClusterIP"
    assert "status" not in found
    assert server.find(f"/api/v1/namespaces/{namespace}/services/app") is None


def test_preview_with_an_invalid_object_fails_like_the_update_would(engine: FakeEngine, namespace: str) -> None:
    with pytest.raises(CallError, match="Invalid value"):
        engine.preview_create(service(namespace, "app", ports=[{"port": 99999}]))


@pytest.mark.parametrize("case", ["namespace", "kind", "unknown", "exists"])
def test_preview_is_the_inputs_where_it_cannot_be_told_yet(
    engine: FakeEngine, server: ApiServer, namespace: str, case: str
) -> None:
    obj = {
        "namespace": config_map("not-there-yet", "cm"),
        "kind": widget(namespace, "w", kind="Undefined"),
        "unknown": config_map(namespace, "cm", a=Unknown("04da6b54-80e4-46f7-96ec-b56ff0331ba9")),  # type: ignore[arg-type]
        "exists": config_map(namespace, "cm"),
    }[case]
    if case == "exists":
        server.create(f"/api/v1/namespaces/{namespace}/configmaps", obj)
    assert engine.preview_create(obj) == obj


def test_unknown_kind_fails_with_advice(server: ApiServer, namespace: str, journal: Path) -> None:
    with FakeEngine(journal) as engine:
        engine.configure(server.kubeconfig())
        assert engine.servicer._context is not None
        engine.servicer._context.first_delay = 0.01
        with pytest.raises(CallError, match="Verify that any required CRDs have been created"):
            engine.create(widget(namespace, "w", kind="Undefined"))


def test_cancel_ends_a_wait_at_once_and_the_object_is_stored(engine: FakeEngine, namespace: str) -> None:
    engine.cancel(after=1.0)
    started = time.monotonic()
    with pytest.raises(CallError, match="cancelled") as failure:
        engine.create(deployment(namespace, fate="never"))
    assert time.monotonic() - started < 30
    assert failure.value.partial is not None
    assert failure.value.partial.id == f"{namespace}/app"


def test_state_of_a_fresh_object_shows_no_difference(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(service(namespace, "lonely", selector=None))
    assert plan(engine.plan(created, service(namespace, "lonely", selector=None))) == {}
    assert plan(engine.refresh(created)) == {}
