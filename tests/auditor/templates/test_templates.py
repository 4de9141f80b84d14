"""Starters: each is valid, its connections exist, its own tests pass, its sources are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer
import yaml
from cabc.cli import init, validate
from cabc.cli import test as test_command
from cabc.errors import CabcError
from cabc.home import Settings
from cabc.interfaces.connections import load_connections
from cabc.loading import load
from cabc.templates import TEMPLATES
from typer.testing import CliRunner


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    for module in (init, validate, test_command):
        module.register(app)
    return app


@pytest.fixture(params=TEMPLATES)
def started(request: pytest.FixtureRequest, app: typer.Typer, tmp_path: Path) -> Path:
    done = CliRunner().invoke(app, ["init", "--template", request.param, str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    return tmp_path / "new"


def test_a_template_is_valid_with_its_connections(app: typer.Typer, started: Path) -> None:
    arguments = ["--connections", str(started / ".cabc" / "connections.yaml"), str(started / "specification.yaml")]
    done = CliRunner().invoke(app, ["validate", *arguments])
    assert done.exit_code == 0, done.output


def test_a_template_passes_its_own_tests(app: typer.Typer, started: Path) -> None:
    done = CliRunner().invoke(app, ["test", str(started / "specification.yaml"), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert len(told["tests"]) >= 5


def test_no_connection_stands_there_unused(started: Path) -> None:
    text = (started / "specification.yaml").read_text()
    names = set(load_connections(started / ".cabc" / "connections.yaml"))
    assert names == set(re.findall(r"connection: ([a-z-]+)", text))


def test_the_settings_name_the_specification(started: Path) -> None:
    from cabc.document.source import read

    settings = read(Settings, (started / ".cabc" / "cabc.yaml").read_bytes(), "cabc.yaml")
    assert (started / ".cabc" / settings.documents[0]).resolve() == (started / "specification.yaml").resolve()
    assert settings.commands is False


def test_every_risk_is_mitigated_and_every_source_named(started: Path) -> None:
    document = load(started / "specification.yaml")
    mitigated = {risk for node in document.requirements for risk in node.requirement.mitigates}
    assert mitigated == {risk.id for risk in document.specification.risks}
    assert document.specification.source


def test_every_requirement_has_a_test_value_for_each_leaf(started: Path) -> None:
    given = yaml.safe_load((started / "specification.tests.yaml").read_text())["given"]
    assert {leaf.path.rsplit("/", 1)[-1] for leaf in load(started / "specification.yaml").leaves()} == set(given)


def test_the_ai_act_has_fourteen_leaves_over_six_kinds(app: typer.Typer, tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", str(tmp_path)])
    leaves = list(load(tmp_path / "specification.yaml").leaves())
    kinds = {leaf.element.interface.kind for leaf in leaves if leaf.element.interface}
    assert len(leaves) >= 14
    assert len(kinds) >= 6


def test_iso_25012_has_its_fifteen_characteristics(app: typer.Typer, tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", "--template", "iso-25012-data-quality", str(tmp_path)])
    assert [node.requirement.id for node in load(tmp_path / "specification.yaml").requirements] == [
        *("accuracy", "completeness", "consistency", "credibility", "currentness"),
        *(
            "accessibility",
            "compliance",
            "confidentiality",
            "efficiency",
            "precision",
            "traceability",
            "understandability",
        ),
        *("availability", "portability", "recoverability"),
    ]


def test_the_seven_categories_are_dimensions(app: typer.Typer, tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", "--template", "ai-ethics-metrics", str(tmp_path)])
    specification = load(tmp_path / "specification.yaml").specification
    names = ["data", "model", "system", "process", "business", "user", "domain"]
    assert [dimension.id for dimension in specification.dimensions] == names


def test_nothing_is_overwritten(app: typer.Typer, tmp_path: Path) -> None:
    (tmp_path / "specification.yaml").write_text("mine")
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert isinstance(done.exception, CabcError)
    assert "already there" in str(done.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["specification.yaml"]
    assert (tmp_path / "specification.yaml").read_text() == "mine"


def test_an_unknown_template_is_met_with_the_nearest(app: typer.Typer, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", "--template", "eu-ai-act-high-rsk", str(tmp_path)])
    assert isinstance(done.exception, CabcError)
    assert done.exception.fix == "Did you mean eu-ai-act-high-risk?"


def test_the_catalogue_is_listed(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["init", "--list"])
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(TEMPLATES)
