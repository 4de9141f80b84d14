"""Parts of `up` and `down` that need no cluster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components._core import images, paths
from components._core.engine import Engine
from components.kind_cluster.kind import Marker
from components.kind_cluster.nodes import Nodes
from mlops import down, up


class FakeEngine(Engine):
    """Answers commands by how they begin."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__("podman", {})
        object.__setattr__(self, "answers", answers)

    def run(self, *arguments: str, **_others: Any) -> str:
        line = " ".join(arguments)
        answers: Mapping[str, str] = getattr(self, "answers")  # noqa: B009 (the class is frozen)
        return next((answer for start, answer in answers.items() if line.startswith(start)), "")


def test_images_of_a_plan_are_found_wherever_they_stand() -> None:
    resources = [
        {"inputs": {"node_image": f"{images.LOCAL}/node:abc"}},
        {"inputs": {"spec": {"template": {"spec": {"initContainers": [{"image": f"{images.LOCAL}/tools:1"}]}}}}},
        {"inputs": {"data": {"settings.yaml": f"agent: {images.LOCAL}/agent:2\n"}}},
        {"inputs": {"spec": {"containers": [{"image": "quay.io/prometheus/prometheus:v3"}]}}},
    ]
    assert up.images_of(resources) == ["agent", "node", "tools"]


def test_nothing_left() -> None:
    assert down.leftovers("mlops-ci", Nodes(FakeEngine({}))) == []


def test_what_is_left_is_named_by_its_kind() -> None:
    answers = {
        "ps --all --quiet --filter label=io.x-k8s.kind.cluster=mlops-ci": "c1\n",
        "volume ls": "v1\nv2\n",
        "network ls": "n1\n",
    }
    left = down.leftovers("mlops-ci", Nodes(FakeEngine(answers)))
    assert left == ["container c1", "volume v1", "volume v2", "network n1"]


def test_network_that_another_cluster_uses_is_not_ours_to_remove() -> None:
    answers = {"ps --all --quiet --filter label=io.x-k8s.kind.cluster": "other\n", "network ls": "n1\n"}
    left = down.leftovers("mlops-ci", Nodes(FakeEngine({**answers, "ps --all --quiet --filter label=x": ""})))
    assert "network n1" not in left


def test_network_of_a_cluster_that_is_being_made_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path))
    nodes = Nodes(FakeEngine({"network ls": "n1\n"}))
    with subprocess.Popen([sys.executable, "-c", "input()", "kind"], stdin=subprocess.PIPE) as making:
        Marker("creation", "node", "backend", making.pid).write("mlops-other")
        assert down.leftovers("mlops-ci", nodes) == []
    assert down.leftovers("mlops-ci", nodes) == ["network n1"]


def test_entry_in_a_kubeconfig_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text("contexts:\n- name: kind-mlops-ci\n  context: {}\n")
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert down.leftovers("mlops-ci", None) == [f"kubeconfig entry kind-mlops-ci in {file}"]


def test_cache_goes_whole_even_where_it_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path / "cache"))
    module = paths.cache("go", "mod", "example.org")
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module example.org\n")
    (module / "go.mod").chmod(0o400)
    module.chmod(0o500)
    assert down.purge_cache(None) > 0
    assert not paths.cache().exists()


def test_objects_are_forgotten_with_every_link_to_them() -> None:
    provider = {"urn": "u:provider", "type": "pulumi:providers:kubernetes"}
    thing = {"urn": "u:thing", "type": "kubernetes:core/v1:Secret"}
    other = {
        "urn": "u:other",
        "type": "pulumi-python:dynamic/platform:Password",
        "dependencies": ["u:thing", "u:stack"],
        "propertyDependencies": {"a": ["u:thing"], "b": ["u:stack"]},
    }
    stack = {"urn": "u:stack", "type": "pulumi:pulumi:Stack"}
    kept = down.without_objects([stack, provider, thing, other])
    assert [each["urn"] for each in kept] == ["u:stack", "u:other"]
    assert kept[1]["dependencies"] == ["u:stack"]
    assert kept[1]["propertyDependencies"] == {"a": [], "b": ["u:stack"]}
