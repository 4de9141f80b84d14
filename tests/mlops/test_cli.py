"""The command line as a person meets it: one line per error, exit codes, JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components._core import paths
from mlops.cli import app

DATA = paths.CHECKOUT / "tests" / "data" / "order_forms"


def mlops(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlops", *arguments],
        cwd=paths.CHECKOUT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_broken_form_ends_with_2_and_one_line_each() -> None:
    done = mlops("validate", str(DATA / "Pulumi.tab.yaml"), str(DATA / "Pulumi.a-list.yaml"))
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 2
    assert done.stdout.startswith("tests/data/order_forms/Pulumi.tab.yaml:3:1:")
    assert "Traceback" not in done.stderr


def test_findings_as_json() -> None:
    done = mlops("validate", "--json", str(DATA / "Pulumi.tab.yaml"))
    (finding,) = json.loads(done.stdout)
    assert (finding["line"], finding["column"], finding["fix"]) == (3, 1, "indent with two spaces")


def test_up_of_a_stack_that_does_not_exist() -> None:
    done = mlops("up", "--stack", "lokal")
    assert done.returncode == 2
    assert done.stderr.startswith("✖ there is no stack 'lokal'")
    assert "fix: use one of" in done.stderr


def test_up_with_a_broken_form_changes_nothing(tmp_path: Path) -> None:
    form = paths.CHECKOUT / "stacks" / "Pulumi.broken-by-a-test.yaml"
    form.write_text("config:\n\toss: 1\n")
    try:
        done = mlops("up", "--stack", "broken-by-a-test", MLOPS_STATE=str(tmp_path))
    finally:
        form.unlink()
    assert done.returncode == 2
    assert "2:1" in done.stderr
    assert not list(tmp_path.rglob("*"))


def test_wrong_source_is_one_line() -> None:
    done = mlops("env", MLOPS_SOURCE="upstraem")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "registry-only" in done.stderr


def test_ctrl_c_is_one_line_that_says_how_to_go_on() -> None:
    code = (
        "import sys, typer; from mlops import cli\n"
        "@cli.app.command()\n"
        "def wait() -> None: raise KeyboardInterrupt\n"
        "sys.argv = ['mlops', 'wait']; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.CHECKOUT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 130
    assert done.stderr == "‼ stopped\n  fix: run `mlops wait` to go on\n"


def test_a_bug_shows_its_traceback() -> None:
    code = (
        "import sys; from mlops import cli\n"
        "@cli.app.command()\n"
        "def bug() -> None: raise ZeroDivisionError\n"
        "sys.argv = ['mlops', 'bug']; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.CHECKOUT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "status", "doctor", "validate", "schema", "env", "kubeconfig"])
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"], prog_name="mlops")
    assert done.exit_code == 0
    assert "Usage: mlops" in done.stdout
