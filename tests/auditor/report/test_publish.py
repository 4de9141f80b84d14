"""Publishing: whole files, recorded digests, again is no change, a kill loses nothing."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cabc.errors import CabcError
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord
from cabc.record.keys import Keys
from cabc.record.schema import leases
from cabc.record.store import Draft
from cabc.record.types import Entry, Publication, Status
from cabc.report.publish import changed_files, publish
from sqlalchemy import update

from tests.support import cabc as sample
from tests.support import cabc_report as past

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Path:
    """A copy of the home folder that a test may change."""
    shutil.copytree(home, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def book(place: Path) -> Iterator[DatabaseRecord]:
    with sample.record(place) as record:
        yield record


def put_out(record: DatabaseRecord, place: Path, now: dt.datetime = NOW) -> Publication:
    return publish(record, past.SUBJECT, place / "published", Keys(place / "keys"), now=now)


def test_files_are_written_and_recorded_with_their_digests(book: DatabaseRecord, place: Path) -> None:
    done = put_out(book, place)
    folder = place / "published" / past.SUBJECT

    assert {name for name in done.files if "/" not in name} == {
        "status.json", "badge.svg", "badge.json", "statement.dsse.json", "feed.atom",
        "report.html", "report.pdf", "report.md", "report.json",
    }  # fmt: skip
    assert done.files == {name: digest((folder / name).read_bytes()) for name in done.files}
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == set(done.files)
    assert book.publications(past.SUBJECT) == [done]
    assert done.status is Status.SUSPENDED


def test_only_the_owner_reads_what_is_restricted(book: DatabaseRecord, place: Path) -> None:
    put_out(book, place)
    folder = place / "published" / past.SUBJECT / "restricted"

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert "Contoso" in (folder / "auditor.html").read_text(encoding="utf-8")
    for file in folder.parent.iterdir():
        if file.is_file():
            assert b"Contoso" not in file.read_bytes(), file


def test_again_is_no_change(book: DatabaseRecord, place: Path) -> None:
    first = put_out(book, place)
    before = {file: file.stat().st_mtime_ns for file in (place / "published").rglob("*") if file.is_file()}

    assert put_out(book, place, NOW + dt.timedelta(hours=1)) == first
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert len(book.publications(past.SUBJECT)) == 1


def test_a_file_that_somebody_changed_is_named_and_written_anew(book: DatabaseRecord, place: Path) -> None:
    done = put_out(book, place)
    file = place / "published" / past.SUBJECT / "badge.svg"
    file.write_bytes(file.read_bytes().replace(b"suspended", b"certified"))

    assert changed_files(done, place / "published") == ["badge.svg"]
    put_out(book, place)
    assert changed_files(done, place / "published") == []


def test_a_new_status_is_published_and_what_no_longer_holds_is_removed(book: DatabaseRecord, place: Path) -> None:
    put_out(book, place)
    revoked = sample.status(
        Status.REVOKED, previous=Status.SUSPENDED, since=NOW, assessment=None, mode="third-party", version="4"
    )
    book.append([draft(revoked)])
    (place / "published" / past.SUBJECT / "old.html").write_text("left by an earlier version", encoding="utf-8")
    done = put_out(book, place, NOW)
    body = json.loads((place / "published" / past.SUBJECT / "status.json").read_text(encoding="utf-8"))

    assert body["status"] == "revoked"
    assert not (place / "published" / past.SUBJECT / "old.html").exists()
    assert [each.status for each in book.publications(past.SUBJECT)] == [Status.REVOKED, Status.SUSPENDED]
    assert done.status is Status.REVOKED


class KilledError(Exception):
    """Stands for a signal that ends the process."""


class Dying(DatabaseRecord):
    """A record whose process is killed before it appends."""

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:  # noqa: ARG002 (the record's own signature)
        raise KilledError


def test_killed_between_files_and_record_the_next_call_completes(place: Path) -> None:
    with sample.record(place) as record:
        record.__class__ = Dying
        with pytest.raises(KilledError):
            put_out(record, place)
        assert record.publications(past.SUBJECT) == []
    with sample.record(place) as record:
        done = put_out(record, place)
        assert record.publications(past.SUBJECT) == [done]
    assert changed_files(done, place / "published") == []
    assert not list((place / "published").rglob(".new-*"))


def test_killed_while_writing_no_file_is_half(book: DatabaseRecord, place: Path) -> None:
    done = put_out(book, place)
    folder = place / "published" / past.SUBJECT
    (folder / ".new-abcd").write_bytes(b"{")  # what a kill in the middle of a write leaves
    (folder / "report.pdf").unlink()

    put_out(book, place)
    assert changed_files(done, place / "published") == []
    assert not (folder / ".new-abcd").exists()


def test_nothing_is_published_before_the_first_assessment(tmp_path: Path) -> None:
    with sample.record(tmp_path) as record, pytest.raises(CabcError, match="no assessment yet"):
        put_out(record, tmp_path)


@pytest.mark.parametrize("after", ["status.json", "restricted/engineer.pdf"])
def test_a_process_that_is_killed_leaves_nothing_half_and_the_next_completes(place: Path, after: str) -> None:
    """Kill -9 once a file is there, wherever the publisher is by then."""
    folder = place / "published" / past.SUBJECT
    with sample.record(place) as record:
        pages_before = len(record.publications(past.SUBJECT))
    command = [sys.executable, "-m", "cabc", "publish", past.SUBJECT, "--home", str(place)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not (folder / after).exists() and process.poll() is None:
            time.sleep(0.002)
        process.kill()
    for file in folder.rglob("*.json"):
        if not file.name.startswith(".new-"):
            json.loads(file.read_text(encoding="utf-8"))

    with sample.record(place) as record:
        with record.engine.begin() as connection:
            connection.execute(update(leases).values(expires=0))  # the killed process's lease has run out
        put_out(record, place)
        done = record.publications(past.SUBJECT)
    assert len(done) == pages_before + 1
    assert changed_files(done[0], place / "published") == []
    assert not list(folder.rglob(".new-*"))
