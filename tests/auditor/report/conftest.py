"""A recorded history that the tests of reports read and never change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cabc.record.database import DatabaseRecord
from cabc.report.types import Reader, ReportView
from cabc.report.view import view

from tests.support import cabc as sample
from tests.support import cabc_report as past

View = Callable[..., ReportView]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with twelve assessments; copied by tests that write."""
    folder = tmp_path_factory.mktemp("past")
    with sample.record(folder) as record:
        past.record_history(record)
    return folder


@pytest.fixture(scope="session")
def record(home: Path) -> Iterator[DatabaseRecord]:
    with sample.record(home) as found:
        yield found


@pytest.fixture(scope="session")
def seen(record: DatabaseRecord) -> View:
    """Return what a reader sees of the assessment with a number; the last one when not given."""

    def look(reader: Reader = "auditor", number: int = 12) -> ReportView:
        return view(record, f"a{number:05d}", reader=reader)

    return look
