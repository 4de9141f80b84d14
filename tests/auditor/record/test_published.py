"""Published files are checked and exported while a publisher replaces them: never a mixture, never a false alarm."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cabc.record import published as module
from cabc.record.archive import export, verify_archive
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord
from cabc.record.keys import Keys
from cabc.record.published import PURPOSE
from cabc.record.types import Publication
from cabc.record.verify import verify

from tests.support import cabc as sample

AT = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)


class Publisher:
    """Puts out one file of one subject, in the order of the real one: lease, file, record."""

    def __init__(self, record: DatabaseRecord, folder: Path) -> None:
        self.record = record
        self.published = folder / "published"
        self.number = 0

    def write(self) -> Publication:
        self.number += 1
        body = f"report {self.number}".encode()
        file = self.published / sample.SUBJECT / "report.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        return sample.publication({"report.md": digest(body)}, published=AT + dt.timedelta(seconds=self.number))

    def publish(self, *, between: float = 0) -> None:
        with self.record.lease(sample.SUBJECT, PURPOSE, seconds=10):
            done = self.write()
            time.sleep(between)
            self.record.append([draft(done, key=f"p{self.number}")])


@pytest.fixture
def book(tmp_path: Path) -> Iterator[DatabaseRecord]:
    with sample.record(tmp_path) as record:
        yield record


@pytest.fixture
def publisher(book: DatabaseRecord, tmp_path: Path) -> Publisher:
    made = Publisher(book, tmp_path)
    made.publish()
    return made


def faults(book: DatabaseRecord, folder: Path) -> list[str]:
    return list(map(str, verify(book, keys=Keys(folder / "keys"), published=folder / "published")))


def test_a_publication_under_way_is_no_fault(book: DatabaseRecord, publisher: Publisher, tmp_path: Path) -> None:
    running = threading.Thread(target=publisher.publish, kwargs={"between": 1.5})
    running.start()
    while "report 2" not in (tmp_path / "published" / sample.SUBJECT / "report.md").read_text():
        time.sleep(0.01)
    try:
        assert faults(book, tmp_path) == []
    finally:
        running.join()


def test_an_export_holds_files_and_entries_of_one_moment(
    book: DatabaseRecord, publisher: Publisher, tmp_path: Path
) -> None:
    stop = threading.Event()

    def again_and_again() -> None:
        while not stop.wait(0.3):
            publisher.publish(between=0.2)

    running = threading.Thread(target=again_and_again)
    running.start()
    try:
        for number in itertools.count():
            file = tmp_path / f"{number}.zip"
            export(book, sample.SUBJECT, file, keys=book.keys, published=tmp_path / "published")
            assert verify_archive(file) == []
            if publisher.number > 4:
                break
    finally:
        stop.set()
        running.join()


def test_a_file_that_nobody_publishes_is_a_fault_at_once(
    book: DatabaseRecord, publisher: Publisher, tmp_path: Path
) -> None:
    publisher.write()
    began = time.monotonic()
    assert any("is not what was published" in fault for fault in faults(book, tmp_path))
    file = tmp_path / "broken.zip"
    export(book, sample.SUBJECT, file, keys=book.keys, published=tmp_path / "published")
    assert [str(fault) for fault in verify_archive(file) if "is not what was published" in str(fault)]
    assert time.monotonic() - began < module.PATIENCE


def test_who_never_lets_go_hides_nothing(
    book: DatabaseRecord, publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(*args: object) -> object:
        return module_settled(*args, patience=0.5)  # type: ignore[arg-type]

    module_settled = module.settled
    monkeypatch.setattr("cabc.record.checks.stored.settled", once)
    with book.lease(sample.SUBJECT, PURPOSE, seconds=10):
        publisher.write()
        assert any("is not what was published" in fault for fault in faults(book, tmp_path))
