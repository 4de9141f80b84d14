"""`mlops toolchain` as people and scripts call it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components._core import sources
from components._core.sources import Source
from mlops.errors import UsageError
from mlops.toolchain.cli import app
from mlops.toolchain.install import Installer
from mlops.toolchain.model import modules
from mlops.toolchain.source import Choice


@pytest.fixture
def kind(builds: Any) -> Path:
    """Have kind installed; returns its executable."""
    sources.remember(Source.REGISTRY_ONLY)
    installer = Installer(Choice(Source.REGISTRY_ONLY, "asked for"), {Source.REGISTRY_ONLY: builds()})
    installer.install(["kind"])
    return installer.folder(modules()["kind"]) / "kind"


def test_list_as_json_has_every_tool(kind: Path) -> None:
    done = CliRunner().invoke(app, ["list", "--json"])
    assert done.exit_code == 0
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert {name for module in modules().values() for name in module.binaries} <= set(rows)
    assert rows["kind"]["installed"]
    assert rows["kind"]["path"] == str(kind)
    assert len(rows["kind"]["sha256"]) == 64
    assert (rows["kind"]["version"], rows["kind"]["source"]) == ("0.33.0", "registry-only")
    assert (rows["etcd"]["installed"], rows["etcd"]["sha256"]) == (False, None)
    assert rows["pulumi-resource-kubernetes"]["standIn"]


def test_list_for_people(kind: Path) -> None:
    assert kind.exists()
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 0
    assert "kind" in done.stdout
    assert "not installed" in done.stdout


def test_list_finds_a_changed_file(kind: Path) -> None:
    assert CliRunner().invoke(app, ["list", "--verify"]).exit_code == 0
    kind.write_text("changed")
    done = CliRunner().invoke(app, ["list", "--verify"])
    assert done.exit_code == 1
    assert "changed since they were installed: kind" in done.stderr


def test_path_prints_one_line(kind: Path) -> None:
    assert CliRunner().invoke(app, ["path", "kind"]).stdout == f"{kind}\n"


def test_install_of_what_is_there_does_nothing(kind: Path) -> None:
    before = kind.stat().st_mtime_ns
    done = CliRunner().invoke(app, ["install", "kind"])
    assert done.exit_code == 0
    assert kind.stat().st_mtime_ns == before
    assert "source: registry-only" in done.stderr


def test_unknown_tool_is_an_error_of_the_user() -> None:
    sources.remember(Source.REGISTRY_ONLY)
    done = CliRunner().invoke(app, ["path", "kubectll"])
    assert isinstance(done.exception, UsageError)


def test_env_can_be_evaluated() -> None:
    done = CliRunner().invoke(app, ["env"])
    assert done.exit_code == 0
    exported = dict(word.split("=", 1) for word in shlex.split(done.stdout) if "=" in word)
    assert exported["PULUMI_BACKEND_URL"].startswith("file://")
