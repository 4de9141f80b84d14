"""A project for the real engine with our language host beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from components._core.sources import Source
from mlops import toolchain
from mlops.toolchain import plugins
from tests.support.pulumi_project import VENV, MakeProject, Project


@pytest.fixture(autouse=True)
def uv_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the project's own uv on PATH, as `mlops toolchain env` does."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(VENV / "bin"), os.environ["PATH"]]))


@pytest.fixture
def project(tmp_path: Path) -> MakeProject:
    """Return a function that makes a project of files; `options` are those of the runtime."""

    def make(files: dict[str, str], options: dict[str, str] | None = None, main: str = "", config: str = "") -> Project:
        toolchain.binary("pulumi")
        if not all(
            (plugins.engine_folder(Source.REGISTRY_ONLY) / name).exists() for name in ("pulumi", plugins.MARKER)
        ):
            pytest.skip("the official language host is in use")
        folder = tmp_path / "project"
        state = tmp_path / "state"
        state.mkdir()
        env = toolchain.environment() | {
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_STACK": "t",
            "PATH": os.pathsep.join(
                [str(plugins.engine_folder(Source.REGISTRY_ONLY)), toolchain.environment()["PATH"]]
            ),
        }
        env.pop("PULUMI_CONFIG_PASSPHRASE_FILE", None)
        settings: dict[str, object] = {
            "name": "p",
            "runtime": {"name": "python", "options": {"virtualenv": str(VENV), **(options or {})}},
        }
        if main:
            settings["main"] = main
        made = Project(folder, env)
        made.write(files | {"Pulumi.yaml": yaml.safe_dump(settings), "Pulumi.t.yaml": config})
        created = made.run("stack", "init", "t", "--secrets-provider", "passphrase")
        assert created.returncode == 0, created.stderr
        return made

    return make
