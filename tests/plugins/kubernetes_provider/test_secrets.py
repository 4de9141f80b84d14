"""Secrets stay secret: in inputs, outputs and the copy of the inputs among the outputs."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.plugins.kubernetes_provider.wire import Secret
from tests.support.kubernetes_engine import FakeEngine, State, plan, token_of
from tests.support.kubernetes_objects import config_map, secret

pytestmark = pytest.mark.apiserver


def test_string_data_becomes_base64_data_and_stays_secret(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(secret(namespace, stringData={"password": "hunter2"}), "s")
    assert "stringData" not in created.inputs
    assert created.inputs["data"] == Secret({"password": "aHVudGVyMg=="})
    assert created.outputs["data"] == Secret({"password": "aHVudGVyMg=="})
    assert created.outputs["__inputs"]["data"] == Secret({"password": "aHVudGVyMg=="})
    assert plan(engine.plan(created, secret(namespace, stringData={"password": "hunter2"}))) == {}


def test_secret_input_of_any_kind_is_secret_in_outputs_and_after_refresh(engine: FakeEngine, namespace: str) -> None:
    created = engine.create(config_map(namespace, a=Secret("x")) | {"immutable": False}, "cm")  # type: ignore[arg-type]
    for state in (created, engine.read(created)):
        places: list[Any] = [state.inputs, state.outputs, state.outputs["__inputs"]]
        assert [place["data"]["a"] for place in places] == [Secret("x")] * 3


def test_line_breaks_in_base64_are_no_difference(engine: FakeEngine, namespace: str) -> None:
    wrapped = secret(namespace, "s", data={"k": "aHVu\ndGVyMg==\n"})
    created = engine.create(wrapped)
    assert created.inputs["data"] == Secret({"k": "aHVudGVyMg=="})
    assert plan(engine.refresh(created)) == {}


def test_text_overrides_data_of_the_same_key(engine: FakeEngine, namespace: str) -> None:
    both = secret(namespace, "s", data={"a": "b2xk", "b": "Yg=="}, stringData={"a": "new"})
    checked = engine.check(State(token_of(both), "s"), both)
    assert checked["data"] == Secret({"a": "bmV3", "b": "Yg=="})
