"""What a report is built from: one assessment, what it hangs on, and a fixed number of its predecessors."""

from __future__ import annotations

from dataclasses import dataclass

from cabc.document.loaded import LoadedDocument
from cabc.engine.history import stored_document
from cabc.engine.rollup import FAILING
from cabc.errors import CabcError
from cabc.record.store import Record
from cabc.record.types import Assessment, Finding, LeafEvidence, Observation, Waiver
from cabc.report.guard import Guard
from cabc.report.types import Reader

__all__ = ["TREND", "Context", "open_context"]

TREND = 12
"""So many assessments a report looks at, whatever the length of the history."""


@dataclass(frozen=True, kw_only=True)
class Context(Guard):
    """Everything read from the record for one report, and what its reader may see of it."""

    record: Record
    assessment: Assessment
    latest: bool
    document: LoadedDocument
    observations: list[Observation]
    findings: list[Finding]
    earlier: list[Assessment]
    """Assessments before this one, the nearest first."""
    collected: dict[str, LeafEvidence]
    waivers: dict[str, Waiver]


def open_context(record: Record, assessment_id: str, reader: Reader, document: LoadedDocument | None = None) -> Context:
    """Read an assessment and its surroundings; CabcError when it or its specification is not there."""
    assessment = record.assessment(assessment_id)
    if assessment is None:
        msg = f"there is no assessment {assessment_id!r} in the record"
        raise CabcError(msg, fix="`cabc status SUBJECT` names the latest one")
    subject = assessment.subject.name
    document = document or stored_document(record, assessment.specification)
    collection = record.collection(assessment.collection)
    guard = Guard.of(reader, document)
    return Context(
        reader=reader,
        nodes=guard.nodes,
        leaves=guard.leaves,
        record=record,
        assessment=assessment,
        latest=[found.id for found in record.assessments(subject, limit=1)] == [assessment.id],
        document=document,
        observations=list(record.observations(assessment.id)),
        findings=record.findings(assessment.id),
        earlier=record.assessments(subject, limit=TREND - 1, before=assessment.id),
        collected={leaf.path: leaf for leaf in collection.leaves} if collection else {},
        waivers={waiver.id: waiver for waiver in record.waivers(subject)},
    )


def is_failing(finding: Finding | Observation) -> bool:
    """Return whether somebody has to look at it."""
    return finding.verdict in FAILING
