"""The wheel, installed into an environment that has nothing else, is a working `cabc`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components._core import paths
from mlops.toolchain import uv

pytestmark = [pytest.mark.backend, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the environment's commands."""
    folder = tmp_path_factory.mktemp("wheel")
    uv.run("build", "--quiet", "--wheel", "--out-dir", str(folder), str(paths.CHECKOUT / "auditor"), doing="the wheel")
    (wheel,) = folder.glob("cabc-*.whl")
    environment = folder / "environment"
    uv.run("venv", "--quiet", "--python", sys.executable, str(environment), doing="the environment")
    python = environment / "bin" / "python"
    uv.run("pip", "install", "--quiet", "--python", str(python), str(wheel), doing="the installation")
    return python.parent


def ran(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_starter_is_made_validated_planned_and_tested(installed: Path, tmp_path: Path) -> None:
    cabc = installed / "cabc"
    assert "conformity" in ran([cabc, "--help"], tmp_path)
    ran([cabc, "init", "--template", "eu-ai-act-high-risk", "audit"], tmp_path)
    specification = tmp_path / "audit" / "specification.yaml"
    ran([cabc, "validate", specification], tmp_path)
    ran([cabc, "test", specification], tmp_path)
    assert json.loads(ran([cabc, "schema"], tmp_path))["title"]


def test_what_no_connection_needs_is_not_loaded(installed: Path, tmp_path: Path) -> None:
    code = """
import sys, pkgutil, importlib, cabc
for module in pkgutil.walk_packages(cabc.__path__, "cabc."):
    if not module.name.endswith(("auditee", "__main__")) and ".migrations." not in module.name:
        importlib.import_module(module.name)
print(sorted(name for name in ("pulumi", "kubernetes", "pyarrow", "mlflow") if name in sys.modules))
"""
    assert ran([installed / "python", "-c", code], tmp_path).strip() == "[]"


def test_the_wheel_holds_types_templates_and_no_tests(installed: Path) -> None:
    (wheel,) = installed.parents[1].glob("cabc-*.whl")
    names = ran([installed / "python", "-m", "zipfile", "-l", wheel], installed)
    for needed in ("cabc/py.typed", "demo/assets/specification.yaml", "report/assets/cabc.css", "eu-ai-act-high-risk"):
        assert needed in names
    assert "tests/" not in names
