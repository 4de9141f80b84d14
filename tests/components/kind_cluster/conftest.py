"""What the tests of kind clusters share."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.kind_cluster.kind import Kind
from components.kind_cluster.nodes import Nodes
from tests.support.container_engine import PaperEngine


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PaperEngine:
    """An engine and a kind of paper, first on PATH, and a state of the test's own."""
    found = PaperEngine(tmp_path / "engine")
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///here")
    for name in ("PATH", "KIND_EXPERIMENTAL_PROVIDER"):
        monkeypatch.setenv(name, found.environment[name])
    return found


@pytest.fixture
def kind(paper: PaperEngine) -> Kind:
    return Kind(Nodes(paper.engine, sleep=lambda _seconds: None), "file:///here")
