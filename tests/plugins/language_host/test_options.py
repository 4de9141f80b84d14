"""What the options of Pulumi.yaml may say, and where each toolchain looks for Python."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlops.plugins.language_host.environments import Command, Pip, Uv, resolve
from mlops.plugins.language_host.errors import HostError
from mlops.plugins.language_host.options import PythonOptions, parse


def test_nothing_said() -> None:
    assert parse("/p", "/p/program", {}) == PythonOptions(Path("/p"), Path("/p/program"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"virtualenv": 1}, "virtualenv option must be a string"),
        ({"toolchain": "conda"}, "unsupported toolchain option: conda"),
        ({"toolchain": ["uv"]}, "toolchain option must be a string"),
        ({"typechecker": "pyre"}, "unsupported typechecker option: pyre"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], told: str) -> None:
    with pytest.raises(HostError, match=told):
        parse("/p", "/p", options)


def test_lock_files_upward_decide_the_toolchain(tmp_path: Path) -> None:
    program = tmp_path / "a" / "b"
    program.mkdir(parents=True)
    assert resolve(PythonOptions(tmp_path, program)).tool == "pip"
    (tmp_path / "uv.lock").touch()
    assert resolve(PythonOptions(tmp_path, program)).tool == "uv"
    assert resolve(PythonOptions(tmp_path, program, toolchain="pip")).tool == "pip"


def test_pip_environment_is_under_the_root_and_activated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    command = Pip(tmp_path, "venv").python("-c", "")
    assert command.args[0] == tmp_path / "venv" / "bin" / "python"
    assert command.env["PATH"].split(os.pathsep)[0] == str(tmp_path / "venv" / "bin")
    assert command.env["VIRTUAL_ENV"] == str(tmp_path / "venv")
    assert "PYTHONHOME" not in command.env


def test_pip_without_environment_takes_the_ambient_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my-python").write_text("#!/bin/sh\n")
    (tmp_path / "my-python").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PULUMI_PYTHON_CMD", "my-python")
    assert Pip(tmp_path, "").python("x").args == [str(tmp_path / "my-python"), "x"]
    monkeypatch.setenv("PULUMI_PYTHON_CMD", "none")
    with pytest.raises(HostError, match=r'failed to locate any of \["none"\] on your PATH'):
        Pip(tmp_path, "").python("x")


def test_missing_pip_environment_is_made_and_a_full_folder_is_not_touched(tmp_path: Path) -> None:
    environment = Pip(tmp_path, "venv")
    steps = [step for step in environment.ensure(tmp_path) if isinstance(step, Command)]
    assert [list(map(str, step.args[1:])) for step in steps] == [
        ["-m", "venv", str(tmp_path / "venv")],
        ["-m", "pip", "install", "--upgrade", "pip", "setuptools", "wheel"],
    ]
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "notes").touch()
    assert list(environment.ensure(tmp_path)) == []
    with pytest.raises(HostError, match="doesn't appear to be a virtual environment"):
        environment.validate()


def test_uv_environment_is_beside_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)
    program = tmp_path / "program"
    program.mkdir()
    assert Uv(program, None).virtualenv() == program / ".venv"
    (tmp_path / "uv.lock").touch()
    assert Uv(program, None).virtualenv() == tmp_path / ".venv"
    assert Uv(program, tmp_path / "other").virtualenv() == tmp_path / "other"
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", "named")
    assert Uv(program, None).virtualenv() == tmp_path / "named"


def test_uv_and_poetry_are_asked_for_by_name_when_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for tool in ("uv", "poetry"):
        with pytest.raises(HostError, match=f"Could not find `{tool}` executable"):
            resolve(PythonOptions(tmp_path, tmp_path, toolchain=tool))


def test_uv_project_without_a_project_section_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    with pytest.raises(HostError, match=r"is missing a \[project\] section"):
        Uv(tmp_path, None).python("x")
