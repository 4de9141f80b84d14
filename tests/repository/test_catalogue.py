"""Conventions that hold for every component, without reviewers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import ruamel.yaml
from pydantic.alias_generators import to_camel, to_pascal

from components._core import catalogue, paths
from components._core.config import ComponentConfig

FOLDERS = catalogue.folders()
FILES = ["README.md", "__init__.py", "component.py", "config.py"]
HEADINGS = ["What", "Use", "Configure", "Verify"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_name_leads_from_folder_to_class(folder: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", folder)
    cls = catalogue.component_class(folder)
    assert cls.__name__ == f"{to_pascal(folder)}Component"
    assert cls.config_class.__name__ == f"{to_pascal(folder)}Config"
    assert issubclass(cls.config_class, ComponentConfig)


@pytest.mark.parametrize("folder", FOLDERS)
def test_folder_has_the_same_files_as_every_other(folder: str) -> None:
    found = {file.name for file in (catalogue.FOLDER / folder).iterdir()}
    assert set(FILES) <= found


@pytest.mark.parametrize("folder", FOLDERS)
def test_readme_has_the_headings(folder: str) -> None:
    text = (catalogue.FOLDER / folder / "README.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:4] == HEADINGS


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_field_says_what_it_is(folder: str) -> None:
    model = catalogue.component_class(folder).config_class
    silent = [name for name, field in model.model_fields.items() if not field.description]
    assert not silent


@pytest.mark.parametrize("folder", FOLDERS)
def test_default_config_is_valid_or_names_what_it_needs(folder: str) -> None:
    model = catalogue.component_class(folder).config_class
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if not required:
        model.model_validate({})


@pytest.mark.parametrize("folder", FOLDERS)
def test_has_a_test_file(folder: str) -> None:
    assert (paths.CHECKOUT / "tests" / "components" / f"test_{folder}.py").exists()


def test_every_component_is_used_by_a_stack() -> None:
    yaml = ruamel.yaml.YAML(typ="safe")
    used: set[str] = set()
    for form in (paths.CHECKOUT / "stacks").glob("Pulumi.*.yaml"):
        used |= set(yaml.load(form)["config"][f"{paths.APPLICATION}:components"])
    assert {to_camel(folder) for folder in FOLDERS} == used


def test_the_program_is_short_and_knows_no_stack() -> None:
    text = (paths.CHECKOUT / "stacks" / "__main__.py").read_text()
    assert len(text.splitlines()) < 30
    assert not re.search(r"\bif\b", text)


def test_a_new_component_is_a_new_folder(tmp_path: Path) -> None:
    """Copy the project, add a folder, name it in an order form: it is planned. No list was edited."""
    import shutil

    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for part in ("components", "stacks", "images", "toolchain"):
        shutil.copytree(paths.CHECKOUT / part, tmp_path / part, ignore=ignore, symlinks=True)
    folder = tmp_path / "components" / "coffee_machine"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Coffee."""\n')
    (folder / "config.py").write_text(
        "from components._core.config import ComponentConfig\n\n\n"
        "class CoffeeMachineConfig(ComponentConfig):\n    pass\n"
    )
    (folder / "component.py").write_text(
        "from components._core.component import Component, Promises\n"
        "from components.coffee_machine.config import CoffeeMachineConfig\n\n\n"
        "class CoffeeMachineComponent(Component[CoffeeMachineConfig]):\n"
        "    config_class = CoffeeMachineConfig\n\n"
        "    def deploy(self):\n"
        "        self.create_namespace()\n"
        "        return Promises()\n"
    )
    form = tmp_path / "stacks" / "Pulumi.coffee.yaml"
    form.write_text(
        f"config:\n  {paths.APPLICATION}:components:\n"
        "    existingCluster: {context: somewhere}\n    coffeeMachine: {}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "components._core.plan", str(form)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "MLOPS_SOURCE": "registry-only", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"coffee-machine"' in done.stdout
