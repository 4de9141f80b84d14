"""No question reads the whole history: every statement goes through an index."""

from __future__ import annotations

from typing import Any

import pytest
from cabc.record.database import DatabaseRecord
from sqlalchemy import event

from tests.support import cabc as sample
from tests.support.cabc import NOW, SUBJECT

QUESTIONS = {
    "subjects": lambda book: book.subjects(),
    "collection": lambda book: book.collection("c1"),
    "pending_collections": lambda book: book.pending_collections(SUBJECT),
    "assessment": lambda book: book.assessment("a1"),
    "assessments": lambda book: book.assessments(SUBJECT),
    "assessments, next page": lambda book: book.assessments(SUBJECT, before="a2"),
    "observations": lambda book: list(book.observations("a1")),
    "findings": lambda book: book.findings("a1"),
    "status": lambda book: book.status(SUBJECT),
    "history": lambda book: book.history(SUBJECT),
    "current": lambda book: book.current(NOW),
    "waivers": lambda book: book.waivers(SUBJECT),
    "attestations": lambda book: book.attestations(SUBJECT),
    "baseline": lambda book: book.baseline(SUBJECT),
    "triggers": lambda book: book.triggers(SUBJECT),
    "publications": lambda book: book.publications(SUBJECT),
    "entries": lambda book: list(book.entries(f"assess:{SUBJECT}", after=3)),
    "head": lambda book: book.head(f"assess:{SUBJECT}"),
    "evidence_body": lambda book: book.evidence_body(sample.SPECIFICATION),
    "run": lambda book: sample.run(book, 9),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_statement_uses_an_index(book: DatabaseRecord, question: str) -> None:
    sample.run(book, 1)
    sample.run(book, 2)
    asked: list[tuple[str, Any]] = []
    event.listen(book.engine, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
    QUESTIONS[question](book)
    assert asked
    plans: list[str] = []
    with book.engine.connect() as connection:
        for statement, parameters in asked:
            if statement.startswith(("SELECT", "DELETE", "UPDATE")):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans += [f"{row[3]} in {statement}" for row in plan]
    # The first name after the last one: one step in an index, whatever the history.
    step = "SCAN entries USING COVERING INDEX"
    scans = [plan for plan in plans if plan.startswith("SCAN") and not (plan.startswith(step) and "LIMIT" in plan)]
    sorts = [plan for plan in plans if "TEMP B-TREE" in plan]
    assert scans == []
    assert sorts == []
