"""Rules about the repository that no linter has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from components._core import paths

TRACKED = [
    paths.CHECKOUT / line
    for line in subprocess.run(
        ["git", "ls-files"], cwd=paths.CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
]
PYTHON = [file for file in TRACKED if file.suffix == ".py" and file.exists()]


@pytest.mark.parametrize("file", PYTHON, ids=lambda file: str(file.relative_to(paths.CHECKOUT)))
def test_silences_name_a_code_and_a_reason(file: Path) -> None:
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if found := re.search(r"#\s*noqa(?P<rest>.*)", line):
            assert re.match(r": [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*\s+\(.+\)", found["rest"]), f"{file}:{number}: {line}"
        if found := re.search(r"#\s*type: ignore(?P<rest>.*)", line):
            assert found["rest"].startswith("["), f"{file}:{number}: {line}"


def test_every_test_file_is_collected() -> None:
    tests = paths.CHECKOUT / "tests"
    helpers = {"support", "data"}
    for file in tests.rglob("*.py"):
        if helpers & set(file.relative_to(tests).parts):
            continue
        assert file.name.startswith("test_") or file.name in {"conftest.py", "__init__.py"}, file


def test_no_path_of_one_machine_is_in_the_repository() -> None:
    pattern = re.compile("|".join(["/" + "work" + "/main", "/" + "root" + "/"]))
    for file in TRACKED:
        if file.suffix in {".py", ".md", ".yaml", ".sh", ".toml", ".json"} and file.exists():
            assert not pattern.search(file.read_text(errors="ignore")), file


@pytest.mark.parametrize("script", sorted((paths.CHECKOUT / "scripts").glob("*")), ids=lambda script: script.name)
def test_scripts_are_short(script: Path) -> None:
    assert len(script.read_text().splitlines()) < 20


def test_layers_hold() -> None:
    """The drawing in docs/architecture.md, as import-linter contracts."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=paths.CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
