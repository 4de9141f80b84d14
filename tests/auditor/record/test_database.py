"""The record on SQLite: what goes in comes out, once, chained, signed and anchored."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest
from cabc.errors import CabcError
from cabc.record.canonical import digest
from cabc.record.chain import GENESIS, IntegrityError, draft
from cabc.record.database import DatabaseRecord, open_record
from cabc.record.engines import connect
from cabc.record.keys import head_message, signed_by
from cabc.record.store import Draft, Record
from cabc.record.types import Head, Status, Verdict
from cabc.record.verify import verify
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from tests.support import cabc as sample
from tests.support.cabc import NOW, SUBJECT

ASSESS = f"assess:{SUBJECT}"


def test_is_a_record(book: DatabaseRecord) -> None:
    typed: Record = book
    assert typed.subjects() == []


def test_entries_continue_their_chain(book: DatabaseRecord) -> None:
    sample.run(book)
    sample.run(book, 2)
    entries = list(book.entries(ASSESS))
    assert [entry.seq for entry in entries] == list(range(1, 9))
    assert [entry.previous for entry in entries] == [GENESIS, *(entry.hash for entry in entries[:-1])]
    assert all(entry.body is not None and entry.body_digest == digest(entry.body.encode()) for entry in entries)


def test_what_is_recorded_is_read_back(book: DatabaseRecord) -> None:
    sample.run(book)
    assert book.subjects() == [SUBJECT]
    assert book.collection("c1") is not None
    assert [item.path for item in book.observations("a1")] == [sample.LEAF]
    assert [item.requirement for item in book.findings("a1")] == [sample.REQUIREMENT]
    assert book.evidence_body(digest(b'{"ratio":1}')) == b'{"ratio":1}'
    assert book.document(sample.SPECIFICATION) == b"specification"
    status = book.status(SUBJECT)
    assert status is not None
    assert status.status == Status.CONFORMANT


def test_waivers_attestations_and_publications_are_read_back(book: DatabaseRecord) -> None:
    said = [sample.waiver(), sample.attestation(), sample.publication({"a.html": digest(b"a")})]
    book.append([draft(body) for body in said])
    assert [*book.waivers(SUBJECT), *book.attestations(SUBJECT), *book.publications(SUBJECT)] == said


def test_appending_again_changes_nothing(book: DatabaseRecord) -> None:
    first = book.append([draft(sample.waiver())])
    again = book.append([draft(sample.waiver(reason="another")), draft(sample.waiver("w2"))])
    assert again[0] == first[0]
    assert len(book.waivers(SUBJECT)) == 2


def test_the_same_twice_in_one_append_is_one_entry(book: DatabaseRecord) -> None:
    entries = book.append([draft(sample.waiver()), draft(sample.waiver())])
    assert entries[0] == entries[1]
    assert len(list(book.entries(ASSESS))) == 1


def test_all_or_nothing(book: DatabaseRecord) -> None:
    misplaced = Draft(chain=f"publish:{SUBJECT}", kind="waiver", key="w", body=sample.waiver())
    with pytest.raises(ValueError, match="does not belong"):
        book.append([draft(sample.waiver()), misplaced])
    assert book.waivers(SUBJECT) == []


@pytest.mark.parametrize("chain", ["assess:../../etc", "assess:", "collect:A", "other:x", "assess:a\nb"])
def test_refuses_a_chain_that_would_name_a_file_elsewhere(book: DatabaseRecord, chain: str) -> None:
    with pytest.raises(ValueError, match="is no chain"):
        book.append([Draft(chain=chain, kind="waiver", key="w", body=sample.waiver())])


def test_collections_wait_until_assessed(book: DatabaseRecord) -> None:
    book.append([draft(sample.collection("c1")), draft(sample.collection("c2"))])
    assert [item.id for item in book.pending_collections(SUBJECT)] == ["c1", "c2"]
    book.append([draft(sample.assessment("a1", collection="c1"))])
    assert [item.id for item in book.pending_collections(SUBJECT)] == ["c2"]


def test_triggers_wait_until_a_collection_covers_them(book: DatabaseRecord) -> None:
    later = NOW + dt.timedelta(hours=1)
    asked = [
        sample.trigger("all"),
        sample.trigger("one", requirements=["a/b"]),
        sample.trigger("other", requirements=["a/c"]),
        sample.trigger("late", received=later, requirements=["a/b"]),
    ]
    book.append([draft(item) for item in asked])
    book.append([draft(sample.collection("c1", trigger=sample.trigger("merged", requirements=["a/b"])))])
    assert [item.id for item in book.triggers(SUBJECT)] == ["all", "other", "late"]
    book.append([draft(sample.collection("c2", trigger=sample.trigger("all")))])
    assert [item.id for item in book.triggers(SUBJECT)] == ["late"]
    assert [item.id for item in book.triggers(SUBJECT, pending=False)] == ["all", "one", "other", "late"]


def test_assessments_come_in_pages_latest_first(book: DatabaseRecord) -> None:
    for number in range(1, 6):
        sample.run(book, number)
    first = book.assessments(SUBJECT, limit=2)
    second = book.assessments(SUBJECT, limit=2, before=first[-1].id)
    assert [item.id for item in (*first, *second)] == ["a5", "a4", "a3", "a2"]


def test_status_at_an_instant(book: DatabaseRecord) -> None:
    sample.run(book, 1)
    sample.run(book, 5, verdict=Verdict.NOT_SATISFIED)
    minute = dt.timedelta(minutes=1)
    assert book.current(NOW) == {}
    assert book.current(NOW + 4 * minute) == {SUBJECT: Status.CONFORMANT}
    assert book.current(NOW + 5 * minute) == {SUBJECT: Status.SUSPENDED}
    assert [item.status for item in book.history(SUBJECT)] == [Status.SUSPENDED, Status.CONFORMANT]


def test_evidence_that_is_not_what_it_says_is_refused(book: DatabaseRecord) -> None:
    with pytest.raises(IntegrityError):
        book.put_evidence(sample.evidence(b"one"), b"two")


def test_evidence_waits_for_the_entry_that_refers_to_it(book: DatabaseRecord, tmp_path: Path) -> None:
    book.put_evidence(sample.evidence(b"one"), b"one")
    with sample.record(tmp_path) as other:
        assert other.evidence_body(digest(b"one")) is None
        assert book.evidence_body(digest(b"one")) == b"one"
        book.append([draft(sample.collection(body=b"one"))])
        assert other.evidence_body(digest(b"one")) == b"one"


def test_evidence_is_written_when_there_is_much_of_it_and_at_the_end(tmp_path: Path) -> None:
    large = [bytes([number]) * 900_000 for number in range(5)]
    with sample.record(tmp_path) as book, sample.record(tmp_path) as other:
        for body in large:
            book.put_evidence(sample.evidence(body), body)
        assert other.evidence_body(digest(large[0])) == large[0]
        book.put_evidence(sample.evidence(b"last"), b"last")
    with sample.record(tmp_path) as other:
        assert other.evidence_body(digest(b"last")) == b"last"


def test_every_append_signs_the_head_of_each_chain(book: DatabaseRecord) -> None:
    sample.run(book)
    keys = book.keys.public()
    for chain, role in ((ASSESS, "assess"), (f"collect:{SUBJECT}", "collect")):
        head = book.head(chain)
        assert head is not None
        assert keys[head.key_id].role == role
        assert signed_by(keys[head.key_id], head_message(head), head.signature)
        assert head.hash == list(book.entries(chain))[-1].hash


def test_heads_are_anchored(book: DatabaseRecord, tmp_path: Path) -> None:
    sample.run(book)
    lines = (tmp_path / "anchors" / f"assess.{SUBJECT}.jsonl").read_bytes().splitlines()
    assert Head.model_validate_json(lines[-1]) == book.head(ASSESS)


def test_anchors_are_caught_up_after_a_crash_before_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "anchors" / f"assess.{SUBJECT}.jsonl"
    with sample.record(tmp_path) as book:
        sample.run(book, 1)
        before = file.read_bytes()
        sample.run(book, 2)
        after = file.read_bytes()
    file.write_bytes(before + b'{"half a li')
    with sample.record(tmp_path) as book:
        pass
    lines = file.read_bytes().splitlines()
    assert lines[-1] == after.splitlines()[-1]
    assert lines[-2] == b'{"half a li'


def test_an_anchor_that_cannot_be_written_stops_nothing_and_is_caught_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "anchors"
    blocked.write_text("a file where the folder should be")
    with sample.record(tmp_path) as book:
        book.append([draft(sample.waiver("w1"))])
        assert "cannot be written" in caplog.text
        blocked.unlink()
        book.append([draft(sample.publication())])
    assert {file.name for file in blocked.iterdir()} == {f"assess.{SUBJECT}.jsonl", f"publish.{SUBJECT}.jsonl"}


def test_one_file_can_anchor_all_chains(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "heads.jsonl"
    with open_record(f"sqlite:///{tmp_path / 'r.db'}", keys=tmp_path / "keys", anchors=[file]) as book:
        sample.run(book)
    with open_record(f"sqlite:///{tmp_path / 'r.db'}", keys=tmp_path / "keys", anchors=[file]):
        pass
    assert len(file.read_bytes().splitlines()) == 4


def test_private_files_are_private(book: DatabaseRecord, tmp_path: Path) -> None:
    sample.run(book)
    for file in (tmp_path / "record.db", tmp_path / "keys" / "assess.key", tmp_path / "keys" / "collect.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("role", "chain"), [("collect", "assess"), ("publish", "assess"), ("assess", "collect")])
def test_a_role_writes_its_own_chains_only(tmp_path: Path, role: str, chain: str) -> None:
    body = sample.waiver() if chain == "assess" else sample.trigger()
    with sample.record(tmp_path, role=role) as book, pytest.raises(CabcError, match=f"{role} does not write {chain}"):  # type: ignore[arg-type]
        book.append([draft(body)])


def test_a_reader_writes_nothing_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(CabcError, match="there is no record"):
        sample.record(tmp_path, role="read")
    with sample.record(tmp_path) as book:
        sample.run(book)
    with sample.record(tmp_path, role="read") as book:
        with pytest.raises(CabcError, match="read does not write"):
            book.append([draft(sample.waiver())])
        with pytest.raises(CabcError, match="read does not write"):
            book.put_evidence(sample.evidence(), b'{"ratio":0.9}')
        assert book.assessment("a1") is not None


def test_entries_are_not_dated_back(tmp_path: Path) -> None:
    times = [NOW, NOW - dt.timedelta(seconds=30), NOW - dt.timedelta(hours=1)]
    url = f"sqlite:///{tmp_path / 'r.db'}"
    with open_record(url, keys=tmp_path / "keys", clock=lambda: times.pop(0)) as book:
        first, second = (book.append([draft(sample.waiver(name))])[0] for name in ("w1", "w2"))
        assert first.at == second.at == NOW
        with pytest.raises(CabcError, match="the clock says 2026-11-24 11:00:00"):
            book.append([draft(sample.waiver("w3"))])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:geheim@h/d", "cannot be kept in 'mysql'"),
        ("sqlite://", "would be lost"),
        ("env:CABC_NOT_SET", "CABC_NOT_SET"),
        ("file:/does/not/exist", "cannot be read"),
        ("no url: geheim", "cannot be read"),
        ("postgresql://u:geheim@127.0.0.1:1/d", "the database refuses"),
    ],
)
def test_urls_that_cannot_be_used_are_named_without_their_password(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(CabcError, match=message) as caught:
        open_record(url, keys=tmp_path)
    assert "geheim" not in str(caught.value)


def test_a_collection_answers_only_triggers_before_it(book: DatabaseRecord) -> None:
    book.append([draft(sample.trigger("t1")), draft(sample.collection("c1")), draft(sample.trigger("t2"))])
    assert [item.id for item in book.triggers(SUBJECT)] == ["t2"]
    book.append([draft(sample.collection("c1"))])  # again
    assert [item.id for item in book.triggers(SUBJECT)] == ["t2"]
    assert [fault for fault in verify(book, keys=book.keys) if fault.where.startswith("pending")] == []


@pytest.mark.parametrize("connections", [2, 5, 12])
def test_a_process_opens_no_more_connections_than_it_may(connections: int) -> None:
    engine = connect(make_url("postgresql+psycopg://nobody@localhost/nothing"), connections=connections)
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.size() + pool._max_overflow == connections
