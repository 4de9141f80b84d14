"""Many assessments at once on PostgreSQL: no error, nothing doubled, the chains hold."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from pathlib import Path

from cabc.engine.auditor import RunResult, new_id
from cabc.engine.recompute import recompute
from cabc.record.database import open_record
from cabc.record.types import Status, Trigger
from cabc.record.verify import verify

from tests.support.cabc_engine import Backend, auditor, document, leaf, requirement
from tests.support.postgresql import PostgreSQL

SUBJECTS = 16
EACH = 4


def ask(subject: str) -> Trigger:
    now = dt.datetime.now(dt.UTC)
    return Trigger(id=new_id("t", now), kind="manual", source="alice", subject=subject, received=now)


def test_sixty_four_at_once(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.url(postgresql.new_database())
    anchors = [tmp_path / "anchors"]
    backend = Backend({f"/l{n}": 1 for n in range(10)}, delay=0.02)
    specs = {
        name: document(requirement("a", *(leaf(f"l{n}") for n in range(10))), subject={"name": name})
        for name in (f"subject-{n}" for n in range(SUBJECTS))
    }
    books = [open_record(url, keys=tmp_path / "keys", anchors=anchors) for _ in range(EACH)]
    engines = [auditor(tmp_path, book, backend) for book in books]

    async def all_at_once() -> list[RunResult]:
        runs = [engine.run(spec, ask(name)) for engine in engines for name, spec in specs.items()]
        return list(await asyncio.gather(*runs))

    try:
        results = asyncio.run(all_at_once())
        book = books[0]
        assert [each.status.status for each in results if each.status] == [Status.CONFORMANT] * SUBJECTS * EACH
        for name in specs:
            assert book.triggers(name) == []
            assert book.pending_collections(name) == []
            assert len(book.triggers(name, pending=False)) == EACH
            runs = book.assessments(name, limit=100)
            assert 1 <= len(runs) <= EACH
            assert max(Counter(each.collection for each in runs).values()) == 1
            assert len(book.history(name)) == 1
        faults = verify(book, keys=book.keys, anchors=anchors, recompute=recompute(book))
        assert [str(fault) for fault in faults] == []
    finally:
        for book in books:
            book.close()
