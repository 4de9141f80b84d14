"""A real record in a temporary folder, and typed samples of everything that is recorded."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, TypeVar

from cabc.interfaces.base import SubjectFacts
from cabc.record.canonical import digest
from cabc.record.database import DatabaseRecord, RecordRole, open_record
from cabc.record.types import (
    Assessment,
    Attestation,
    Collection,
    Evidence,
    Finding,
    LeafEvidence,
    MetricOutcome,
    Observation,
    Publication,
    Status,
    StatusRecord,
    Trigger,
    Verdict,
    Waiver,
)

M = TypeVar("M")

SUBJECT = "credit-scoring"
NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
SPECIFICATION = digest(b"specification")
LEAF = "fairness/bias/disparity/ratio"
REQUIREMENT = "fairness/bias"


def record(folder: Path, *, role: RecordRole = "all", url: str | None = None) -> DatabaseRecord:
    """Open the record in a folder: `record.db`, `keys/`, `anchors/`; another database with `url`."""
    return open_record(
        url or f"sqlite:///{folder / 'record.db'}", keys=folder / "keys", anchors=[folder / "anchors"], role=role
    )


def _made(type_: type[M], defaults: dict[str, Any], changes: dict[str, Any]) -> M:
    return type_(**{**defaults, **changes})


def subject(**changes: Any) -> SubjectFacts:
    """Facts about the sample model."""
    return _made(SubjectFacts, {"name": SUBJECT, "version": "3", "digest": digest(b"model")}, changes)


def trigger(id_: str = "t1", **changes: Any) -> Trigger:
    """A run that somebody asked for."""
    defaults = {"id": id_, "kind": "manual", "source": "alice", "subject": SUBJECT, "received": NOW}
    return _made(Trigger, defaults, changes)


def evidence(body: bytes = b'{"ratio":0.9}', **changes: Any) -> Evidence:
    """Description of some bytes."""
    defaults = {
        "digest": digest(body),
        "media_type": "application/json",
        "size": len(body),
        "collected": NOW,
        "origin": "GET /ratio of connection fairness",
    }
    return _made(Evidence, defaults, changes)


def collection(id_: str = "c1", *, body: bytes = b'{"ratio":0.9}', **changes: Any) -> Collection:
    """A run's collection with one leaf, whose evidence is `body`."""
    defaults = {
        "id": id_,
        "subject": subject(),
        "specification": SPECIFICATION,
        "trigger": trigger(),
        "started": NOW,
        "ended": NOW + dt.timedelta(seconds=2),
        "leaves": [LeafEvidence(path=LEAF, value=evidence(body), duration_ms=12.5)],
        "engine_version": "0.1.0",
    }
    return _made(Collection, defaults, changes)


def assessment(id_: str = "a1", **changes: Any) -> Assessment:
    """The summary of one cycle that found everything satisfied."""
    defaults = {
        "id": id_,
        "collection": "c1",
        "subject": subject(),
        "specification": SPECIFICATION,
        "specification_id": "credit-scoring",
        "specification_version": 1,
        "mode": "self-assessment",
        "trigger": trigger(),
        "started": NOW,
        "ended": NOW + dt.timedelta(seconds=3),
        "verdict": Verdict.SATISFIED,
        "complete": True,
        "dimensions": {"fairness": Verdict.SATISFIED},
        "counts": {Verdict.SATISFIED: 1},
        "engine_version": "0.1.0",
    }
    return _made(Assessment, defaults, changes)


def observation(path: str = LEAF, **changes: Any) -> Observation:
    """The outcome at one leaf."""
    defaults = {
        "assessment": "a1",
        "path": path,
        "requirement": REQUIREMENT,
        "verdict": Verdict.SATISFIED,
        "reason": "found 0.9, wanted at least 0.8",
        "value": 0.9,
        "target": 0.8,
        "comparison": "GreaterThanOrEqual",
        "evidence": [digest(b'{"ratio":0.9}')],
        "collected": NOW,
        "duration_ms": 12.5,
    }
    return _made(Observation, defaults, changes)


def finding(requirement: str = REQUIREMENT, **changes: Any) -> Finding:
    """The outcome of one requirement."""
    verdict = changes.get("verdict", Verdict.SATISFIED)
    defaults = {
        "assessment": "a1",
        "requirement": requirement,
        "dimension": "fairness",
        "severity": "critical",
        "verdict": verdict,
        "metrics": [MetricOutcome(path=f"{requirement}/disparity", verdict=verdict, leaves=[LEAF])],
        "reason": "all metrics satisfied",
        "risks": ["R1"],
    }
    return _made(Finding, defaults, changes)


def status(status_: Status = Status.CONFORMANT, **changes: Any) -> StatusRecord:
    """A step of the status machine."""
    defaults = {
        "subject": SUBJECT,
        "status": status_,
        "previous": Status.NONE,
        "since": NOW,
        "cause": "all requirements satisfied",
        "assessment": "a1",
        "mode": "self-assessment",
        "version": "3",
        "digest": digest(b"model"),
    }
    return _made(StatusRecord, defaults, changes)


def waiver(id_: str = "w1", **changes: Any) -> Waiver:
    """A failure that is accepted for an hour."""
    defaults = {
        "id": id_,
        "subject": SUBJECT,
        "requirement": REQUIREMENT,
        "reason": "retraining is under way",
        "approver": "bob",
        "created": NOW,
        "expires": NOW + dt.timedelta(hours=1),
    }
    return _made(Waiver, defaults, changes)


def attestation(id_: str = "m1", **changes: Any) -> Attestation:
    """A person's answer, valid for a day."""
    defaults = {
        "id": id_,
        "subject": SUBJECT,
        "path": LEAF,
        "statement": "reviewed by two people",
        "value": True,
        "party": "carol",
        "created": NOW,
        "valid_until": NOW + dt.timedelta(days=1),
    }
    return _made(Attestation, defaults, changes)


def publication(files: dict[str, str] | None = None, **changes: Any) -> Publication:
    """What the publisher put out."""
    defaults = {
        "subject": SUBJECT,
        "status": Status.CONFORMANT,
        "assessment": "a1",
        "published": NOW,
        "files": files or {},
    }
    return _made(Publication, defaults, changes)


def run(book: DatabaseRecord, number: int = 1, *, verdict: Verdict = Verdict.SATISFIED) -> str:
    """Record one whole cycle as the engine does and return the assessment's id."""
    from cabc.record.chain import draft

    at = NOW + dt.timedelta(minutes=number)
    body = b'{"ratio":%d}' % number
    ask = trigger(f"t{number}", received=at)
    collected = collection(f"c{number}", body=body, trigger=ask, started=at, ended=at)
    name = f"a{number}"
    held = Status.CONFORMANT if verdict == Verdict.SATISFIED else Status.SUSPENDED
    book.put_document(SUBJECT, b"specification", "spec.yaml")
    book.append([draft(ask)])
    book.put_evidence(evidence(body), body)
    book.append([draft(collected)])
    about = {"assessment": name, "verdict": verdict}
    book.append(
        [
            draft(observation(**about, evidence=[digest(body)]), subject=SUBJECT),
            draft(finding(**about), subject=SUBJECT),
            draft(assessment(name, collection=f"c{number}", trigger=ask, verdict=verdict)),
            draft(status(held, assessment=name, since=at)),
        ]
    )
    return name
