"""Retention drops bodies by age, says so in a signed entry, and leaves every chain intact."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cabc.errors import CabcError
from cabc.record.archive import export, verify_archive
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord, open_record
from cabc.record.retention import retain
from cabc.record.types import BaselinePin, RetentionRecord
from cabc.record.verify import verify

from tests.support import cabc as sample
from tests.support.cabc import NOW, SUBJECT

DAY = dt.timedelta(days=1)


class _Clock:
    now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    """Give a clock that tests move."""
    return _Clock()


@pytest.fixture
def book(tmp_path: Path, clock: _Clock) -> Iterator[DatabaseRecord]:
    """Give a record with a run on each of ten days."""
    url = f"sqlite:///{tmp_path / 'record.db'}"
    with open_record(url, keys=tmp_path / "keys", anchors=[tmp_path / "anchors"], clock=clock) as opened:
        for day in range(10):
            clock.now = NOW + day * DAY
            sample.run(opened, day * 24 * 60)
        yield opened


def _retain(book: DatabaseRecord, clock: _Clock, evidence: str | None, observations: str | None) -> RetentionRecord:
    done = retain(book, evidence=evidence, observations=observations, now=clock.now)
    assert done is not None
    return done


def _faults(book: DatabaseRecord, folder: Path) -> list[str]:
    return list(map(str, verify(book, keys=book.keys, anchors=[folder / "anchors"])))


def _evidence(day: int) -> str:
    return digest(b'{"ratio":%d}' % (day * 24 * 60))


def test_old_bodies_go_and_the_chains_hold(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    before = [(entry.seq, entry.hash) for entry in book.entries(f"assess:{SUBJECT}")]
    done = _retain(book, clock, "P3D", "P5D")
    assert [gone.count for gone in done.bodies] == [4]
    assert len(done.evidence) == 6
    assert [book.evidence_body(_evidence(day)) is None for day in range(10)] == [True] * 6 + [False] * 4
    assert [len(list(book.observations(f"a{day * 1440}"))) for day in range(10)] == [0] * 4 + [1] * 6
    assert book.document(sample.SPECIFICATION) == b"specification"
    assert [(entry.seq, entry.hash) for entry in book.entries(f"assess:{SUBJECT}")] == before
    counts: Counter[str] = Counter()
    assert verify(book, keys=book.keys, anchors=[tmp_path / "anchors"], counts=counts) == []
    assert counts["dropped by retention"] == 6


def test_a_signed_entry_says_what_went_and_why(book: DatabaseRecord, clock: _Clock) -> None:
    done = _retain(book, clock, "P3D", None)
    [entry] = book.entries("system")
    assert entry.kind == "retention"
    assert RetentionRecord.model_validate_json(entry.body or "") == done
    assert done.reason == "retention policy: evidence P3D"
    head = book.head("system")
    assert head is not None
    assert book.keys.public()[head.key_id].role == "assess"


def test_dropping_more_than_retention_says_is_named(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    _retain(book, clock, "P3D", "P5D")
    connection = sqlite3.connect(tmp_path / "record.db")
    connection.execute("UPDATE entries SET body = NULL WHERE kind = 'observation' AND key LIKE 'a12960:%'")
    connection.execute("DELETE FROM evidence WHERE digest = ?", (_evidence(9),))
    connection.commit()
    connection.close()
    found = _faults(book, tmp_path)
    assert len(found) == 2
    assert "observation a12960:" in found[0]
    assert found[0].endswith("its body is missing, and no retention says so")
    assert found[1].startswith(f"evidence {_evidence(9)}: missing, and no retention says so")


def test_retention_entries_cannot_be_forged_unsigned(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    _retain(book, clock, "P3D", None)
    connection = sqlite3.connect(tmp_path / "record.db")
    connection.execute("UPDATE entries SET body = replace(body, 'P3D', 'P2D') WHERE chain = 'system'")
    connection.execute("DELETE FROM evidence")
    connection.commit()
    connection.close()
    assert any("entries system 1 retention" in fault for fault in _faults(book, tmp_path))


def test_again_there_is_nothing_to_drop_until_more_is_old(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    _retain(book, clock, "P3D", "P5D")
    assert retain(book, evidence="P3D", observations="P5D", now=clock.now) is None
    clock.now += 2 * DAY
    done = _retain(book, clock, "P3D", "P5D")
    assert (len(done.evidence), [gone.count for gone in done.bodies]) == (2, [2])
    assert _faults(book, tmp_path) == []


def test_the_latest_assessment_stays_whole_however_old(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    clock.now += 1000 * DAY
    _retain(book, clock, "P1D", "P1D")
    assert len(list(book.observations("a12960"))) == 1
    assert book.evidence_body(_evidence(9)) is not None
    assert _faults(book, tmp_path) == []


def test_the_pinned_baseline_stays(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    pin = BaselinePin(id="b1", subject=SUBJECT, assessment="a2880", reason="approved", actor="carol", created=clock.now)
    book.append([draft(pin)])
    done = _retain(book, clock, None, "P1D")
    assert [gone.count for gone in done.bodies] == [2, 5]
    assert len(list(book.observations("a2880"))) == 1
    assert _faults(book, tmp_path) == []


def test_evidence_that_a_newer_run_or_attestation_names_stays(
    book: DatabaseRecord, clock: _Clock, tmp_path: Path
) -> None:
    shared = b'{"ratio":0}'
    book.append([draft(sample.collection("again", body=shared, started=clock.now, ended=clock.now))])
    attested = sample.attestation(evidence=[_evidence(1)], valid_until=clock.now + DAY)
    book.append([draft(attested)])
    done = _retain(book, clock, "P3D", None)
    assert {digest(shared), _evidence(1)}.isdisjoint(done.evidence)
    assert _faults(book, tmp_path) == []


def test_evidence_that_comes_again_is_kept_again(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    _retain(book, clock, "P3D", None)
    body = b'{"ratio":0}'
    book.put_evidence(sample.evidence(body), body)
    book.append([draft(sample.collection("again", body=body))])
    assert book.evidence_body(digest(body)) == body
    assert _faults(book, tmp_path) == []


def test_what_was_dropped_is_gone_from_the_files(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    _retain(book, clock, "P3D", "P5D")
    content = b"".join(file.read_bytes() for file in tmp_path.glob("record.db*"))
    assert b'{"ratio":1440}' not in content
    assert b'{"ratio":12960}' in content


def test_an_archive_after_retention_holds(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    _retain(book, clock, "P3D", "P5D")
    path = tmp_path / "a.cabc"
    export(book, SUBJECT, path, keys=book.keys, anchors=[tmp_path / "anchors"])
    counts: Counter[str] = Counter()
    assert verify_archive(path, counts=counts) == []
    assert counts["dropped by retention"] == 6


def test_a_subject_that_is_being_collected_is_left_alone(book: DatabaseRecord, clock: _Clock) -> None:
    with book.lease(SUBJECT, "collect"), pytest.raises(CabcError, match="another process works on"):
        retain(book, evidence="P1D", observations=None, now=clock.now)


def test_only_the_owner_drops(book: DatabaseRecord, clock: _Clock, tmp_path: Path) -> None:
    del book
    with sample.record(tmp_path, role="assess") as other, pytest.raises(CabcError, match="only the owner"):
        retain(other, evidence="P1D", observations=None, now=clock.now)
