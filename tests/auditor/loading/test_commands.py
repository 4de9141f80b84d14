"""`cabc validate` and `cabc schema` as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from cabc.cli import schema, validate
from typer.testing import CliRunner

BROKEN = Path(__file__).parents[1] / "data" / "broken"
GOOD = """\
conformitySpecification:
  id: loans
  version: 2
  mode: self-assessment
  parties: [{id: bank, role: auditee}]
  subject: {name: loans}
  dimensions:
    - id: a
      requirements:
        - id: r
          severity: high
          frequency: P1D
          metrics:
            - id: m
              measurements:
                - id: x
                  dataType: boolean
                  comparison: EqualTo
                  target: true
                  interface: {kind: manual, question: Ok?}
"""


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    for module in (schema, validate):
        module.register(app)
    return app


def test_a_valid_document(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(GOOD)
    done = CliRunner().invoke(app, ["validate", str(file)])
    assert done.exit_code == 0
    assert done.stdout == f"✔ {file}: loans version 2, 1 requirement, 1 measurement\n"


def test_mistakes_are_lines_that_editors_can_follow(app: typer.Typer) -> None:
    done = CliRunner().invoke(app, ["validate", str(BROKEN / "twenty.yaml")])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 20
    assert lines[0].startswith(f"{BROKEN / 'twenty.yaml'}:3:7: id: found 'Credit Scoring', wanted ")
    assert "20 mistakes" in done.stderr


def test_several_files_and_json(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(GOOD)
    done = CliRunner().invoke(app, ["validate", "--json", str(file), str(BROKEN / "empty.yaml")])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["valid"] is False
    good, empty = told["files"]
    assert (good["valid"], good["id"], good["leaves"]) == (True, "loans", 1)
    assert [problem["line"] for problem in empty["problems"]] == [1]


def test_connections_of_the_operator(app: typer.Typer, tmp_path: Path) -> None:
    file, connections = tmp_path / "spec.yaml", tmp_path / "connections.yaml"
    file.write_text(GOOD.replace("{kind: manual, question: Ok?}", "{kind: rest, connection: scors, path: /x}"))
    connections.write_text("connections:\n  scores: {kind: rest, url: https://scores.example.org}\n")
    done = CliRunner().invoke(app, ["validate", "--connections", str(connections), str(file)])
    assert done.exit_code == 1
    assert "found 'scors', wanted the id of a connection (scores); did you mean scores?" in done.stdout


def test_the_terminal_gets_no_control_characters(app: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(GOOD.replace("id: loans", 'id: "\\e[31m\\u202eloans"'))
    done = CliRunner().invoke(app, ["validate", str(file)])
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


def test_schema_is_printed_or_written(app: typer.Typer, tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["schema"])
    assert json.loads(printed.stdout)["title"] == "Conformity specification"
    done = CliRunner().invoke(app, ["schema", "--write", str(tmp_path / "schema.json")])
    assert done.exit_code == 0
    assert (tmp_path / "schema.json").read_text() == printed.stdout
