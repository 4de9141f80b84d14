"""What the tests of the record share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord

from tests.support import cabc as sample
from tests.support.cabc import SUBJECT


@pytest.fixture
def book(tmp_path: Path) -> Iterator[DatabaseRecord]:
    """Give an empty record in a folder of its own."""
    with sample.record(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a record of three runs, one of them published; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("three-runs")
    (folder / "published" / SUBJECT).mkdir(parents=True)
    (folder / "published" / SUBJECT / "report.html").write_bytes(b"<p>conformant</p>")
    with sample.record(folder) as book:
        for number in range(1, 4):
            sample.run(book, number)
        book.append([draft(sample.publication({"report.html": digest(b"<p>conformant</p>")}))])
    return folder
