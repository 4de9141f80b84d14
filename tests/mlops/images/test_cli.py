"""`mlops images`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components._core import images, paths
from mlops.errors import UsageError
from mlops.images.cli import app


def run(*arguments: str, cache: Path) -> str:
    done = CliRunner().invoke(app, arguments, env={"MLOPS_CACHE": str(cache), "MLOPS_SOURCE": "registry-only"})
    if done.exception:
        raise done.exception
    return done.stdout


def test_list_shows_every_recipe(tmp_path: Path) -> None:
    rows = json.loads(run("list", "--json", cache=tmp_path))
    assert [row["reference"].rpartition("/")[2].partition(":")[0] for row in rows] == images.names()
    assert {row["state"] for row in rows} == {"not built"}


def test_list_of_a_stack_is_what_its_program_asks_for(tmp_path: Path) -> None:
    artefacts = paths.cache("artefacts")
    artefacts.mkdir(parents=True, exist_ok=True)
    (tmp_path / "artefacts").symlink_to(artefacts)  # nothing is fetched a second time
    rows = {row["reference"]: row for row in json.loads(run("list", "--stack", "local", "--json", cache=tmp_path))}
    used = {reference.rpartition("/")[2].partition(":")[0]: row["usedBy"] for reference, row in rows.items()}
    assert {"node", "python", "postgres", "prometheus", "kserve-agent", "prometheus-config-reloader"} <= set(used)
    assert "inferenceservice-config" in used["kserve-agent"]  # named inside a ConfigMap only
    assert all(row["source"] == "built here" for row in rows.values())


def test_unknown_image_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no image nothing") as told:
        run("build", "nothing", cache=tmp_path)
    assert "postgres" in str(told.value.fix)


def test_load_wants_one_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one place"):
        run("load", "postgres", cache=tmp_path)
