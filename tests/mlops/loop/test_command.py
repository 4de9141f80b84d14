"""`mlops loop` as people type it: what is served since is written down where the stack keeps evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mlops import evidence
from mlops.loop import cli
from mlops.loop.ledger import StageError

NAMESPACE = "/api/v1/namespaces/infrastructure-evidence"


class Command:
    """The command on a cluster of which it is known whether it keeps evidence."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, str]] = []
        self.ran = 0
        self.keeps = True
        self.fails = False

    def run(self, _stack: str, *_: Any, **__: Any) -> None:
        """Stand in for the loop."""
        self.ran += 1
        if self.fails:
            raise StageError("audit", "subject", "is suspended")

    def get(self, path: str) -> dict[str, Any] | None:
        """Stand in for the cluster."""
        assert path == NAMESPACE
        return {} if self.keeps else None

    def record(self, stack: Any, command: str) -> None:
        """Stand in for the evidence."""
        assert self.ran, "recorded before the loop went"
        self.recorded.append((stack.name, command))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    found = Command()
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path))
    monkeypatch.delenv("MLOPS_KUBECONFIG", raising=False)
    monkeypatch.setattr("mlops.engine._environment", dict)
    monkeypatch.setattr(cli, "run", found.run)
    monkeypatch.setattr(cli, "kubeconfig_text", lambda _stack, _file: "")
    monkeypatch.setattr(cli, "Cluster", lambda _text: found)
    monkeypatch.setattr(evidence, "record_quietly", found.record)
    return found


def invoke(*words: str) -> int:
    return CliRunner().invoke(cli.app, list(words)).exit_code


def test_a_loop_leaves_evidence_of_what_is_served(command: Command) -> None:
    assert invoke("--stack", "trial") == 0
    assert command.recorded == [("trial", "mlops loop")]


def test_also_a_loop_that_broke_may_have_put_another_model_into_service(command: Command) -> None:
    command.fails = True
    assert invoke("--stack", "trial") == 1
    assert command.recorded == [("trial", "mlops loop")]


def test_a_stack_without_the_component_keeps_none(command: Command) -> None:
    command.keeps = False
    assert invoke("--stack", "trial") == 0
    assert command.recorded == []


def test_whoever_only_looks_records_nothing(command: Command) -> None:
    assert invoke("--stack", "trial", "--verify-only") == 0
    assert command.recorded == []


def test_a_cluster_that_is_named_need_not_be_the_stacks(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("--stack", "trial", "--kubeconfig", "a-file") == 0
    monkeypatch.setenv("MLOPS_KUBECONFIG", "a-file")
    assert invoke("--stack", "trial") == 0
    assert (command.ran, command.recorded) == (2, [])
