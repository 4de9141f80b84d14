"""Whatever is changed behind the record's back, `verify` names it."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cabc.record.canonical import canonical_model, digest
from cabc.record.chain import draft, sign_head
from cabc.record.database import open_reader
from cabc.record.keys import Keys
from cabc.record.types import Assessment
from cabc.record.verify import Fault, verify

from tests.support import cabc as sample
from tests.support.cabc import NOW, SUBJECT

ASSESS = f"assess:{SUBJECT}"
COLLECT = f"collect:{SUBJECT}"


def _verify(folder: Path, counts: Counter[str] | None = None) -> list[Fault]:
    anchors, published = [folder / "anchors"], folder / "published"
    with open_reader(f"sqlite:///{folder / 'record.db'}") as book:
        return verify(book, keys=Keys(folder / "keys"), anchors=anchors, published=published, counts=counts)


def _faults(folder: Path) -> list[str]:
    return [str(fault) for fault in _verify(folder)]


def _sql(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "record.db")
    for statement in statements:
        connection.execute(statement.replace("ASSESS", ASSESS).replace("COLLECT", COLLECT))
    connection.commit()
    connection.close()


@pytest.fixture
def folder(three_runs: Path, tmp_path: Path) -> Path:
    """Give a folder with a record of three runs, one published."""
    shutil.copytree(three_runs, tmp_path / "home")
    return tmp_path / "home"


def test_an_untouched_record_holds_and_the_check_says_what_it_saw(folder: Path) -> None:
    counts: Counter[str] = Counter()
    assert _verify(folder, counts) == []
    assert counts == {
        "chains": 3,
        "entries": 20,
        "heads": 11,
        "anchor lines": 11,
        "evidence": 4,
        "published files": 1,
    }


def test_an_empty_record_holds(tmp_path: Path) -> None:
    with sample.record(tmp_path):
        pass
    assert _faults(tmp_path) == []


CHANGES = {
    """UPDATE entries SET body = replace(body, '"satisfied"', '"error"') WHERE chain = 'ASSESS' AND seq = 1""": (
        f"entries {ASSESS} 1 observation a1:{sample.LEAF}: changed: its body does not fit its digest"
    ),
    "UPDATE entries SET at = at + 1 WHERE chain = 'ASSESS' AND seq = 4": f"{ASSESS} 4 statusrecord",
    "UPDATE entries SET kind = 'finding' WHERE chain = 'ASSESS' AND seq = 1": f"{ASSESS} 1 finding",
    "UPDATE entries SET body = NULL WHERE chain = 'ASSESS' AND seq = 1": "its body is missing, and no retention",
    "DELETE FROM entries WHERE chain = 'ASSESS' AND seq = 5": (
        f"{ASSESS} 6 finding a2:{sample.REQUIREMENT}: entries 5 to 5 before it are missing"
    ),
    "DELETE FROM entries WHERE chain = 'ASSESS' AND seq < 3": (
        f"entries {ASSESS} 3 assessment a1: the chain begins here, 2 entries before it are missing"
    ),
    "DELETE FROM entries WHERE chain = 'ASSESS' AND seq = 12": (
        f"heads {ASSESS} 12: the entry that it signs is missing"
    ),
    "DELETE FROM heads WHERE chain = 'ASSESS' AND seq = 12": f"entries {ASSESS} 9 to 12: no signed head covers them",
    "DELETE FROM heads WHERE chain = 'ASSESS' AND seq = 4": f"head 4 of {ASSESS} is missing in the record",
    "UPDATE evidence SET body = x'00' WHERE digest = (SELECT min(digest) FROM evidence)": "the bytes do not fit",
    "DELETE FROM evidence": "missing, and no retention says so; named by entries",
    "DELETE FROM heads": "no signed head covers them",
    "DELETE FROM entries": "the record was set back or its end was deleted",
    "INSERT INTO pending VALUES ('COLLECT', 2, 'trigger')": f"pending {COLLECT} 2 trigger: is listed as waiting",
    "UPDATE alembic_version SET version_num = '0000'": "alembic_version: the tables have revision 0000",
    "DROP TABLE heads": "cannot be checked: the database refuses: no such table: heads",
    "UPDATE entries SET chain = 'assess:other' WHERE chain = 'ASSESS' AND seq = 12": (
        "entries assess:other 12 statusrecord"
    ),
}


@pytest.mark.parametrize("statement", CHANGES)
def test_a_change_with_sql_is_named(folder: Path, statement: str) -> None:
    _sql(folder, statement)
    assert any(CHANGES[statement] in fault for fault in _faults(folder)), _faults(folder)


def test_rows_swapped_between_chains_are_named(folder: Path) -> None:
    with sample.record(folder) as book:
        other = sample.assessment("b1", subject=sample.subject(name="other"))
        book.append([draft(other)])
    _sql(
        folder,
        "UPDATE entries SET chain = 'assess:third' WHERE chain = 'ASSESS' AND seq = 1",
        "UPDATE entries SET chain = 'ASSESS' WHERE chain = 'assess:other'",
        "UPDATE entries SET chain = 'assess:other' WHERE chain = 'assess:third'",
    )
    found = _faults(folder)
    assert any(fault.startswith(f"entries {ASSESS} 1 assessment b1: changed") for fault in found)
    assert any(fault.startswith(f"entries assess:other 1 observation a1:{sample.LEAF}: changed") for fault in found)


def _rewrite(folder: Path, keys: Keys) -> None:
    """Rewrite the last status as somebody would who knows how everything is computed, and sign it with these keys."""
    from cabc.record import schema
    from cabc.record.chain import links

    with sample.record(folder) as book:
        *before, last = book.entries(ASSESS)
        lie = sample.status(assessment="a3", since=NOW + dt.timedelta(minutes=3), cause="nothing to see")
        item = draft(lie, key=last.key)
        [forged] = links([(item, canonical_model(lie))], seq=before[-1].seq, previous=before[-1].hash, at=last.at)
        head = sign_head(forged, keys)
    row, signed = schema.entry_row(forged), schema.head_row(head)
    connection = sqlite3.connect(folder / "record.db")
    for table, values in (("entries", row), ("heads", signed)):
        names = ", ".join(f"{name} = :{name}" for name in values)
        connection.execute(f"UPDATE {table} SET {names} WHERE chain = :chain AND seq = :seq", values)  # noqa: S608 (ours)
    connection.commit()
    connection.close()


def test_a_history_that_was_rewritten_and_signed_with_a_wrong_key_is_named(folder: Path, tmp_path: Path) -> None:
    _rewrite(folder, Keys(tmp_path / "mine"))
    assert any(f"heads {ASSESS} 12: signed with the unknown key" in fault for fault in _faults(folder))


def test_a_history_that_was_rewritten_and_signed_with_another_role_s_key_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "keys", tmp_path / "mixed")
    shutil.copy(folder / "keys" / "publish.key", tmp_path / "mixed" / "assess.key")
    _rewrite(folder, Keys(tmp_path / "mixed"))
    assert any("signed with the key of publish, which does not sign" in fault for fault in _faults(folder))


def test_a_history_that_was_rewritten_with_the_right_key_is_named_by_the_anchor(folder: Path) -> None:
    _rewrite(folder, Keys(folder / "keys"))
    line = f"{folder}/anchors/assess.{SUBJECT}.jsonl:3"
    assert _faults(folder) == [f"{line}: entry 12 of {ASSESS} was another: the history was rewritten"]


def test_a_restored_old_copy_is_named(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    source, copy = sqlite3.connect(folder / "record.db"), sqlite3.connect(old)
    source.backup(copy)
    source.close()
    copy.close()
    with sample.record(folder) as book:
        sample.run(book, 4)
    for file in folder.glob("record.db*"):
        file.unlink()
    shutil.copy(old, folder / "record.db")
    found = _faults(folder)
    assert any(f"the record ends at entry 12 of {ASSESS}, but 16 was signed" in fault for fault in found)


def test_a_restored_old_copy_that_went_on_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "record.db", tmp_path / "old.db")
    with sample.record(folder) as book:
        sample.run(book, 4)
    for file in folder.glob("record.db*"):
        file.unlink()
    shutil.copy(tmp_path / "old.db", folder / "record.db")
    with sample.record(folder) as book:
        sample.run(book, 5)
    assert any("the history was rewritten" in fault for fault in _faults(folder))


def test_lines_removed_from_an_anchor_are_named(folder: Path) -> None:
    file = folder / "anchors" / f"assess.{SUBJECT}.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    assert _faults(folder) == [
        f"{file}: ends at entry 8 of {ASSESS}, the record at 12: lines were removed or not yet written"
    ]


def test_an_anchor_that_is_gone_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "anchors")
    assert all("has no line of" in fault for fault in _faults(folder))
    assert len(_faults(folder)) == 3


def test_a_clock_that_went_back_is_named(folder: Path) -> None:
    from cabc.record import schema
    from cabc.record.chain import links

    with sample.record(folder) as book:
        last = list(book.entries(ASSESS))[-1]
        body = sample.waiver()
        earlier = last.at - dt.timedelta(hours=1)
        [entry] = links([(draft(body), canonical_model(body))], seq=last.seq, previous=last.hash, at=earlier)
        head = sign_head(entry, book.keys)
        with book.engine.begin() as connection:
            connection.execute(schema.entries.insert(), schema.entry_row(entry))
            connection.execute(schema.heads.insert(), schema.head_row(head))
    assert f"entries {ASSESS} 13 waiver w1: is dated 1:00:00 before the entry before it" in _faults(folder)


def test_a_changed_and_a_missing_published_file_are_named(folder: Path) -> None:
    file = folder / "published" / SUBJECT / "report.html"
    file.write_bytes(b"<p>Conformant</p>")
    assert _faults(folder) == [
        f"{file}: is not what was published; named by entries publish:{SUBJECT} 1 publication a1:2026-11-24T12:00:00Z"
    ]
    file.unlink()
    assert _faults(folder)[0].startswith(f"{file}: cannot be read: No such file")


def test_a_publication_cannot_point_at_files_elsewhere(folder: Path) -> None:
    with sample.record(folder) as book:
        later = NOW + dt.timedelta(days=1)
        book.append([draft(sample.publication({"../../keys/assess.key": digest(b"")}, published=later))])
    assert any("is outside the published folder" in fault for fault in _faults(folder))


def test_verdicts_that_come_out_differently_are_named(folder: Path) -> None:
    def recompute(assessment: Assessment) -> list[str]:
        return ["fairness: recorded satisfied, recomputed error"] if assessment.id == "a2" else []

    with sample.record(folder, role="read") as book:
        found = verify(book, keys=book.keys, recompute=recompute)
    assert [str(fault) for fault in found] == [
        f"assessment a2 of {SUBJECT}: fairness: recorded satisfied, recomputed error"
    ]


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b""), lambda file: file.write_text("no key")])
def test_a_damaged_public_key_is_a_fault(folder: Path, damage: Callable[[Path], object]) -> None:
    damage(folder / "keys" / "assess.pub")
    assert any("assess.pub" in fault for fault in _faults(folder))


def test_checking_while_others_write_finds_nothing(folder: Path) -> None:
    done = threading.Event()

    def write() -> None:
        number = 10
        while not done.is_set():
            with sample.record(folder) as book:
                sample.run(book, number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            assert _faults(folder) == []
    finally:
        done.set()
        writer.join()
