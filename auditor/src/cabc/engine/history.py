"""What an assessment takes from the record: earlier evidence, outcomes, the baseline, who said what before."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping

from cabc.document.interfaces import AssessorInterface
from cabc.document.loaded import LoadedDocument
from cabc.document.model import BaselineTarget, Dimension, Measurement, NestedDocument, Requirement
from cabc.engine.assess import Context, keys_of
from cabc.engine.status import Outcome, outcome
from cabc.errors import CabcError
from cabc.interfaces.assessor import Seen, seen_in
from cabc.interfaces.base import ExtractError
from cabc.loading import load_text
from cabc.record.store import Record, RecordReader
from cabc.record.types import Assessment, Collection, LeafEvidence, Verdict

__all__ = ["carried", "context_for", "keep_document", "stored_document"]

_COUNT_BACK = 200
"""Assessments in which failures of a requirement are counted."""

_LOOK_BACK = 20
"""Collections in which the last signed result of another party is looked for."""


def keep_document(record: Record, subject: str, document: LoadedDocument) -> None:
    """Put a document and its nested ones into the record unless they are there."""
    for path, each in _with_nested("specification.yaml", document):
        if record.document(each.digest) is None:
            record.put_document(subject, each.text, path)


def _with_nested(path: str, document: LoadedDocument) -> Iterator[tuple[str, LoadedDocument]]:
    yield path, document
    specification = document.specification
    holders: list[Dimension | Requirement] = [*specification.dimensions]
    holders += [each for dimension in specification.dimensions for each in dimension.requirements]
    for holder in holders:
        if holder.document is not None and holder.document.digest in document.nested:
            yield from _with_nested(holder.document.path, document.nested[holder.document.digest])


def stored_document(record: RecordReader, digest: str) -> LoadedDocument:
    """Return a document out of the record, loaded."""

    def text(wanted: str) -> bytes:
        found = record.document(wanted)
        if found is None:
            msg = f"the record does not have the specification {wanted}"
            raise CabcError(msg, fix="restore the record from a backup")
        return found

    def nested(document: NestedDocument) -> bytes:
        return text(document.digest)

    return load_text(text(digest), digest, nested)


def carried(previous: Collection, due: frozenset[str], document: LoadedDocument) -> list[LeafEvidence]:
    """Return the evidence of the leaves that are not due, as the collection before had it."""
    fresh = {leaf.path for node in document.requirements if node.path in due for leaf in node.leaves}
    return [each for each in previous.leaves if each.path not in fresh]


def context_for(record: RecordReader, document: LoadedDocument, collection: Collection, now: dt.datetime) -> Context:
    """Return what the assessment of a collection needs besides its evidence."""
    subject, policy = collection.subject.name, document.specification.status_policy
    last = record.assessments(subject, limit=1)
    return Context(
        now=now,
        waivers=record.waivers(subject),
        attestations=record.attestations(subject),
        baseline=_baseline(record, document, subject),
        previous=record.status(subject),
        last=last[0].ended if last else None,
        earlier=_earlier(record, document, subject) if policy.down.of > 1 else (),
        seen=_seen(record, document, collection, last),
    )


def _earlier(record: RecordReader, document: LoadedDocument, subject: str) -> list[Outcome]:
    """Return outcomes back to where each requirement was judged as often as the policy counts."""
    policy = document.specification.status_policy
    short = dict.fromkeys((node.path for node in document.requirements), policy.down.of)
    found: list[Outcome] = []
    for assessment in record.assessments(subject, limit=_COUNT_BACK):
        each = outcome(record.findings(assessment.id), policy, assessment.trigger.requirements or None)
        found.append(each)
        short = {path: left for path, had in short.items() if (left := had - each.judged(path)) > 0}
        if not short:
            break
    return found


def _baseline(record: RecordReader, document: LoadedDocument, subject: str) -> Mapping[str, object]:
    """Return the values of the pinned assessment; none are read for a document without targets that need them."""
    relative = any(
        isinstance(leaf.element, Measurement) and isinstance(leaf.element.target, BaselineTarget)
        for leaf in document.leaves()
    )
    pin = record.baseline(subject) if relative else None
    if pin is None:
        return {}
    had = {Verdict.SATISFIED, Verdict.NOT_SATISFIED}
    return {each.path: each.value for each in record.observations(pin.assessment) if each.verdict in had}


def _seen(
    record: RecordReader, document: LoadedDocument, collection: Collection, last: list[Assessment]
) -> Mapping[str, Seen]:
    """Return the last signed result of each leaf that another party answers for."""
    wanted = {
        leaf.path: leaf
        for leaf in document.leaves()
        if isinstance(leaf.element.interface, AssessorInterface) and leaf.element.interface.returns == "result"
    }
    found: dict[str, Seen] = {}
    if not wanted or not last:
        return found
    for assessment in record.assessments(collection.subject.name, limit=_LOOK_BACK):
        earlier = record.collection(assessment.collection)
        taken = {each.path for each in record.observations(assessment.id) if each.verdict is not Verdict.ERROR}
        for leaf in earlier.leaves if earlier else []:
            if leaf.path in wanted.keys() - found.keys() and leaf.path in taken and leaf.value is not None:
                body = record.evidence_body(leaf.value.digest)
                spec = wanted[leaf.path].element.interface
                if body is not None and isinstance(spec, AssessorInterface):
                    with contextlib.suppress(ExtractError):  # no result that could have been taken over
                        keys = keys_of(document, wanted[leaf.path])
                        found[leaf.path] = seen_in(body, keys, spec.spec_digest or "")
        if wanted.keys() <= found.keys():
            break
    return found
