"""What the tests of images share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.images.store import Store
from tests.support.container_engine import PaperEngine, saved_image


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def paper(tmp_path: Path) -> PaperEngine:
    engine = PaperEngine(tmp_path / "engine")
    engine.archive.write_bytes(saved_image(b"base"))
    return engine
