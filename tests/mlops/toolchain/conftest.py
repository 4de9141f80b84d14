"""A cache and a state of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from components._core.sources import Source
from mlops.toolchain import containers
from mlops.toolchain.model import Module
from mlops.toolchain.source import Choice


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test an empty cache and state, and an environment without settings of ours; returns the cache."""
    for name in ("MLOPS_SOURCE", "MLOPS_ENGINE", "CONTAINERS_CONF", "PULUMI_HOME", "PULUMI_BACKEND_URL",
                 "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_PYTHON_CMD"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    containers.find_engine.cache_clear()
    return tmp_path / "cache"


class Builds:
    """Stands for the Go compiler: writes a script for each executable and counts."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.built: list[str] = []

    def __call__(self, module: Module, into: Path) -> None:
        self.built.append(module.name)
        for name in module.binaries:
            (into / name).write_text(f"#!/bin/sh\necho {name}\n")
            (into / name).chmod(0o755)
            if self.error is not None:
                raise self.error


@pytest.fixture
def builds() -> type[Builds]:
    return Builds


@pytest.fixture
def registry_only() -> Choice:
    return Choice(Source.REGISTRY_ONLY, "asked for")
