"""Ids, names, namespaces: what an object is called and where it lands."""

from __future__ import annotations

import re

import pytest

from tests.support.apiserver import ApiServer
from tests.support.kubernetes_engine import CallError, FakeEngine, State, plan, token_of
from tests.support.kubernetes_objects import config_map, crd, widget

pytestmark = pytest.mark.apiserver


def test_id_is_namespace_and_name_or_name_alone(engine: FakeEngine, namespace: str) -> None:
    assert engine.create(config_map(namespace, "cm")).id == f"{namespace}/cm"
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": f"r-{namespace}"}}
    created = engine.create(role)
    assert created.id == f"r-{namespace}"
    engine.delete(created)


def test_unnamed_object_gets_eight_hex_digits_and_an_annotation(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(config_map(namespace), "cm")
    assert re.fullmatch(rf"{namespace}/cm-[0-9a-f]{{8}}", created.id)
    assert created.inputs["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert created.plain["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}


def test_autoname_is_kept_by_later_updates(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(config_map(namespace), "cm")
    again = engine.check(created, config_map(namespace))
    assert again["metadata"]["name"] == created.inputs["metadata"]["name"]
    assert plan(engine.diff(created, again)) == {}


def test_autoname_follows_the_engines_seed(engine: FakeEngine, namespace: str) -> None:
    state = State(token_of(config_map(namespace)), "cm")
    first, second, other = (engine.check(state, config_map(namespace), seed) for seed in (b"1", b"1", b"2"))
    assert first["metadata"]["name"] == second["metadata"]["name"] != other["metadata"]["name"]


def test_autonaming_configuration_of_the_stack_is_followed(engine: FakeEngine, namespace: str) -> None:
    state = State(token_of(config_map(namespace)), "cm")
    proposed = engine.check(state, config_map(namespace), proposed_name="team-cm", mode=0)
    assert proposed["metadata"]["name"] == "team-cm"
    with pytest.raises(CallError, match="autonaming is disabled"):
        engine.check(state, config_map(namespace), mode=2)


def test_namespace_is_filled_in_for_namespaced_kinds_only(engine: FakeEngine, server: ApiServer) -> None:
    cm = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert engine.check(State(token_of(cm), "x"), cm)["metadata"]["namespace"] == "default"
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}
    assert "namespace" not in engine.check(State(token_of(space), "x"), space)["metadata"]
    engine.configure(server.kubeconfig(), namespace="elsewhere")
    assert engine.check(State(token_of(cm), "x"), cm)["metadata"]["namespace"] == "elsewhere"


def test_scope_of_a_custom_kind_is_asked_of_the_api_server(engine: FakeEngine) -> None:
    definition = engine.create(crd("planets", "Planet", scope="Cluster"), "planets")
    try:
        planet = widget(None, "earth", kind="Planet")
        created = engine.create(planet, "earth")
        assert created.id == "earth"
        assert "namespace" not in created.inputs["metadata"]
        assert plan(engine.plan(created, planet)) == {}
        engine.delete(created)
    finally:
        engine.delete(definition)


def test_scope_of_a_kind_the_program_is_about_to_define_is_known(engine: FakeEngine) -> None:
    definition = crd("moons", "Moon", scope="Cluster")
    engine.check(State(token_of(definition), "moons"), definition)
    moon = widget(None, "io", kind="Moon")
    assert "namespace" not in engine.check(State(token_of(moon), "io"), moon)["metadata"]
