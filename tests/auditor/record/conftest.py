"""What the tests of the record share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cabc.record.database import DatabaseRecord

from tests.support import cabc as sample


@pytest.fixture
def book(tmp_path: Path) -> Iterator[DatabaseRecord]:
    """Give an empty record in a folder of its own."""
    with sample.record(tmp_path) as opened:
        yield opened
