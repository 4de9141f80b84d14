"""Judge recorded assessments again, from the record alone, and tell where the outcome differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from cabc.document.base import Model
from cabc.engine.assess import assess
from cabc.engine.auditor import drafts
from cabc.engine.history import context_for, stored_document
from cabc.record.reading import Reader
from cabc.record.store import Draft
from cabc.record.types import Assessment

__all__ = ["recompute"]

_JUDGED = {
    "observation": ("verdict", "value", "target"),
    "finding": ("verdict", "severity", "failing", "waiver"),
    "assessment": ("verdict", "complete", "dimensions", "counts"),
    "statusrecord": ("status", "previous", "since"),
}
"""What has to come out the same. Words of reasons may change from one version of the program to the next."""


def recompute(record: Reader) -> Callable[[Assessment], Iterator[str]]:
    """Return what judges an assessment of this record again; it gives one line for each difference."""
    document = lru_cache(maxsize=16)(lambda digest: stored_document(record, digest))

    def differences(recorded: Assessment) -> Iterator[str]:
        collection = record.collection(recorded.collection)
        if collection is None:
            yield f"its collection {recorded.collection} is missing"
            return
        specification = document(recorded.specification)
        context = context_for(record.before(recorded), specification, collection, recorded.ended)
        again = assess(specification, collection, record.evidence_body, context)
        yield from _compared(record, recorded, drafts(again))

    return differences


def _compared(record: Reader, recorded: Assessment, again: list[Draft]) -> Iterator[str]:
    found = {(item.kind, item.key): item.body for item in again}
    for (kind, key), body in found.items():
        said = record.kept(kind, key)
        if said is None:
            if not record.has(kind, key):
                yield f"{kind} {key} follows from the evidence and is not recorded"
            continue
        yield from _different(f"{kind} {key}", said, body, _JUDGED[kind])
    steps = [("statusrecord", f"{recorded.id}:{name}") for name in ("step", "time")]
    for kind, key in (*record.parts(recorded.id), *steps):
        if (kind, key) not in found and record.has(kind, key):
            yield f"{kind} {key} is recorded and does not follow from the evidence"


def _different(name: str, said: Model, body: Model, fields: tuple[str, ...]) -> Iterator[str]:
    for field in fields:
        recorded, again = getattr(said, field), getattr(body, field)
        if recorded != again:
            yield f"{name}: {field} is recorded as {recorded!s:.200}, the evidence gives {again!s:.200}"
