"""One byte is enough: wherever one is changed, `verify` says where."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cabc.record.archive import export, verify_archive
from cabc.record.chain import draft
from cabc.record.database import open_reader
from cabc.record.keys import Keys
from cabc.record.verify import verify
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import cabc as sample
from tests.support.cabc import SUBJECT

FLIPS = settings(
    max_examples=int(os.environ.get("CABC_TEST_FLIPS", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MASKS = st.integers(1, 255)
TABLES = ["entries", "heads", "evidence", "pending", "alembic_version"]


@pytest.fixture(scope="session")
def intact(three_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home in which something waits too, its database in one file."""
    home = tmp_path_factory.mktemp("intact") / "home"
    shutil.copytree(three_runs, home)
    with sample.record(home) as book:
        book.append([draft(sample.trigger("waiting")), draft(sample.collection("c9", body=b'{"ratio":1}'))])
    with closing(sqlite3.connect(home / "record.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return home


@pytest.fixture(scope="session")
def archive(intact: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give an archive of that home."""
    path = tmp_path_factory.mktemp("archive") / "a.cabc"
    with sample.record(intact) as book:
        export(book, None, path, keys=book.keys, anchors=[intact / "anchors"], published=intact / "published")
    assert verify_archive(path) == []
    return path.read_bytes()


@contextmanager
def _copy(home: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(home, Path(folder) / "home"))


def _faults(home: Path) -> list[str]:
    with open_reader(f"sqlite:///{home / 'record.db'}") as book:
        anchors, published = [home / "anchors"], home / "published"
        return list(map(str, verify(book, keys=Keys(home / "keys"), anchors=anchors, published=published)))


def _flip(file: Path, position: int, mask: int) -> None:
    data = bytearray(file.read_bytes())
    data[position % len(data)] ^= mask
    file.write_bytes(data)


def test_the_untouched_copy_holds(intact: Path) -> None:
    with _copy(intact) as home:
        assert _faults(home) == []


@FLIPS
@given(data=st.data(), mask=MASKS)
def test_a_byte_in_any_column_of_any_row(intact: Path, data: st.DataObject, mask: int) -> None:
    with _copy(intact) as home:
        table = data.draw(st.sampled_from(TABLES))
        with closing(sqlite3.connect(home / "record.db")) as connection:
            rowid, column, value = data.draw(st.sampled_from(_cells(connection, table)))
            position = data.draw(st.integers(0, 10**6))
            changed = _changed(value, position, mask)
            kept = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
            statement = f"UPDATE {table} SET {column} = {kept} WHERE rowid = ?"  # noqa: S608 (names of our tables)
            connection.execute(statement, (changed, rowid))
            connection.commit()
        faults = _faults(home)
        assert any(table in fault for fault in faults), faults


def _cells(connection: sqlite3.Connection, table: str) -> list[tuple[int, str, object]]:
    cursor = connection.execute(f"SELECT rowid, * FROM {table}")  # noqa: S608 (names of our tables)
    names = [column[0] for column in cursor.description]
    return [(row[0], name, value) for row in cursor for name, value in zip(names[1:], row[1:], strict=True) if value]


def _changed(value: object, position: int, mask: int) -> int | bytes:
    if isinstance(value, int):
        return value ^ (mask << 8 * (position % 7))
    data = bytearray(value.encode() if isinstance(value, str) else value)  # type: ignore[arg-type]
    data[position % len(data)] ^= mask
    return bytes(data)


@FLIPS
@given(position=st.integers(0, 10**7), mask=MASKS)
def test_a_byte_of_the_database_s_file(intact: Path, position: int, mask: int) -> None:
    """What SQLite keeps for itself may change; what the record says may not without being named."""
    with _copy(intact) as home:
        before = _content(home / "record.db")
        _flip(home / "record.db", position, mask)
        if not _faults(home):
            assert _content(home / "record.db") == before


def _content(file: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(file)) as connection:
        return [
            sorted(connection.execute(f"SELECT * FROM {table}"), key=repr)  # noqa: S608 (names of our tables)
            for table in TABLES
        ]


@FLIPS
@given(data=st.data(), position=st.integers(0, 10**6), mask=MASKS)
def test_a_byte_of_an_anchor(intact: Path, data: st.DataObject, position: int, mask: int) -> None:
    with _copy(intact) as home:
        file = data.draw(st.sampled_from(sorted((home / "anchors").iterdir())))
        _flip(file, position, mask)
        assert any(str(file) in fault for fault in _faults(home))


@FLIPS
@given(position=st.integers(0, 10**6), mask=MASKS)
def test_a_byte_of_a_published_file(intact: Path, position: int, mask: int) -> None:
    with _copy(intact) as home:
        file = home / "published" / SUBJECT / "report.html"
        _flip(file, position, mask)
        assert [fault.split(":")[0] for fault in _faults(home)] == [str(file)]


@FLIPS
@given(data=st.data(), position=st.integers(0, 10**6), mask=MASKS)
def test_a_byte_of_a_public_key(intact: Path, data: st.DataObject, position: int, mask: int) -> None:
    with _copy(intact) as home:
        file = data.draw(st.sampled_from(sorted((home / "keys").glob("*.pub"))))
        before = Keys(home / "keys").public().keys()
        _flip(file, position, mask)
        faults = _faults(home)
        if not faults:
            assert Keys(home / "keys").public().keys() == before


@FLIPS
@given(position=st.integers(0, 10**7), mask=MASKS)
def test_a_byte_of_an_archive(archive: bytes, position: int, mask: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.cabc"
        path.write_bytes(archive)
        _flip(path, position, mask)
        faults = list(map(str, verify_archive(path)))
        assert any(str(path) in fault for fault in faults), faults


@FLIPS
@given(size=st.integers(0, 10**7))
def test_an_archive_cut_anywhere(archive: bytes, size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.cabc"
        path.write_bytes(archive[: size % len(archive)])
        assert verify_archive(path)
