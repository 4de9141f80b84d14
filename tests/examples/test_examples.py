"""Every example compiles, needs nothing at run time, and keeps to what the loop relies on."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import yaml

from components._core import paths
from mlops.errors import UsageError
from mlops.loop import sample

IMAGE = "localhost/oss-mlops-platform/python:abc"
PROTECTED = {"black", "hispan", "white", "male", "married", "dep", "old", "min30"}


@pytest.fixture(params=sample.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def compiled(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(yaml.safe_load_all(sample.load(name).compile(IMAGE))))
    return found


def test_steps_run_in_the_given_image_and_install_nothing(compiled: dict[str, Any]) -> None:
    executors = compiled["deploymentSpec"]["executors"]
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}
    assert "pip install" not in json.dumps(executors)


def test_register_and_deploy_stand_behind_the_gate(compiled: dict[str, Any]) -> None:
    root = compiled["root"]["dag"]["tasks"]
    (gated,) = [task for task in root.values() if task.get("triggerPolicy", {}).get("condition")]
    behind = compiled["components"][gated["componentRef"]["name"]]["dag"]["tasks"]
    assert {"register", "deploy", "predict"} == behind.keys()
    assert not {"register", "deploy"} & root.keys()


def test_deciding_step_returns_one_value_without_a_name(compiled: dict[str, Any]) -> None:
    outputs = compiled["components"]["comp-evaluate"]["outputDefinitions"]["parameters"]
    assert list(outputs) == ["Output"]


def test_arguments_are_the_pipelines_own(name: str, compiled: dict[str, Any]) -> None:
    defaults = compiled["root"]["inputDefinitions"]["parameters"]
    assert {key: value["defaultValue"] for key, value in defaults.items()} == sample.load(name).arguments


def test_compiles_the_same_every_time(name: str) -> None:
    example = sample.load(name)
    assert example.compile(IMAGE) == example.compile(IMAGE)


def test_nobody_is_judged_by_race_sex_age_or_family() -> None:
    features = inspect.getmodule(sample.load("loan_approval").build).FEATURES  # type: ignore[union-attr]
    assert not PROTECTED & set(features)


def test_readme_says_what_the_data_is() -> None:
    for example in sample.names():
        assert "**Data.**" in (paths.CHECKOUT / "examples" / example / "README.md").read_text()


def test_unknown_example_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="loan_approval"):
        sample.load("loan_aproval")
