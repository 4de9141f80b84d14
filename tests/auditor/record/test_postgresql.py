"""The record on a real PostgreSQL: the same behaviour, many writers at once, and roles that cannot rewrite history."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cabc.record.chain import GENESIS, draft
from cabc.record.database import open_record

from tests.support import cabc as sample
from tests.support.cabc import SUBJECT
from tests.support.postgresql import PostgreSQL


def test_what_is_recorded_is_read_back(postgresql: PostgreSQL, tmp_path: Path) -> None:
    url = postgresql.url(postgresql.new_database())
    with sample.record(tmp_path, url=url) as book:
        sample.run(book, 1)
        sample.run(book, 2)
    with sample.record(tmp_path, url=url) as book:
        assert [item.id for item in book.assessments(SUBJECT)] == ["a2", "a1"]
        assert book.pending_collections(SUBJECT) == []
        assert book.triggers(SUBJECT) == []
        assert book.subjects() == [SUBJECT]
        assert [entry.seq for entry in book.entries(f"assess:{SUBJECT}")] == list(range(1, 9))


def test_64_write_at_once_and_the_chain_holds(postgresql: PostgreSQL, tmp_path: Path) -> None:
    url = postgresql.url(postgresql.new_database())
    with open_record(url, keys=tmp_path / "keys", anchors=[tmp_path / "anchors"]) as book:
        with ThreadPoolExecutor(64) as pool:
            jobs = [
                pool.submit(book.append, [draft(sample.waiver(f"w{job}-{number}"))])
                for job in range(64)
                for number in range(5)
            ]
            for job in jobs:
                job.result()
        entries = list(book.entries(f"assess:{SUBJECT}"))
        assert len(entries) == 320
        assert [entry.seq for entry in entries] == list(range(1, 321))
        assert [entry.previous for entry in entries] == [GENESIS, *(entry.hash for entry in entries[:-1])]
        assert len(book.waivers(SUBJECT)) == 320
