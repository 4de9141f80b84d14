"""What is recorded. Every type is written once, never changed, and part of a hash chain."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from cabc.document.base import Digest, Instant, Model
from cabc.document.model import Severity
from cabc.interfaces.base import SubjectFacts

__all__ = [
    "Assessment",
    "Attestation",
    "BaselinePin",
    "Collection",
    "DroppedBodies",
    "Entry",
    "Evidence",
    "Finding",
    "Head",
    "LeafEvidence",
    "MetricOutcome",
    "Observation",
    "Publication",
    "RetentionRecord",
    "Status",
    "StatusRecord",
    "StoredDocument",
    "Trigger",
    "Verdict",
    "Waiver",
]


class Verdict(StrEnum):
    """The six possible outcomes. Only `satisfied` counts as satisfied."""

    SATISFIED = "satisfied"
    NOT_SATISFIED = "not-satisfied"
    ERROR = "error"
    """Value not had, stale, or not comparable."""
    NOT_APPLICABLE = "not-applicable"
    NOT_EVALUATED = "not-evaluated"
    """Not part of this run, or nothing to evaluate."""
    NEEDS_REVIEW = "needs-review"
    """A person has to answer: an attestation is missing or expired."""


class Status(StrEnum):
    """Conformity status of a subject."""

    NONE = "none"
    CONFORMANT = "conformant"
    CONDITIONAL = "conditional"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Trigger(Model):
    """Why a run started. It only names; facts are read again."""

    id: str
    kind: Literal["manual", "schedule", "webhook", "kubernetes", "file"]
    source: str
    """Who or what: a user, a schedule's requirement, a webhook's name."""
    subject: str
    received: Instant
    requirements: list[str] = []
    """Paths of the requirements that are due; empty means all."""


class Evidence(Model):
    """Description of stored bytes; the digest is their name."""

    digest: Digest
    """Of the bytes after redaction."""
    media_type: str
    size: int
    collected: Instant
    origin: str
    details: dict[str, str] = {}
    redacted: bool = False


class LeafEvidence(Model):
    """What was had for one leaf: evidence for its value and its target, or why there is none."""

    path: str
    value: Evidence | None = None
    target: Evidence | None = None
    """Only for targets that are retrieved."""
    error: str | None = None
    duration_ms: float = 0.0
    shared: bool = False
    """The same query was already answered in this run."""


class Collection(Model):
    """All that was collected in one run; assessment needs this, the documents and the evidence, and nothing else."""

    id: str
    subject: SubjectFacts
    specification: Digest
    trigger: Trigger
    started: Instant
    ended: Instant
    leaves: list[LeafEvidence]
    engine_version: str


class Observation(Model):
    """The outcome at one leaf, with the target that was used."""

    assessment: str
    path: str
    requirement: str
    """Path of the requirement."""
    verdict: Verdict
    reason: str
    """One line: what was found and what was wanted; for errors, what is missing."""
    value: Any = None
    """As extracted, in the measurement's unit."""
    target: Any = None
    comparison: str | None = None
    unit: str | None = None
    critical: bool = True
    confidential: bool = False
    evidence: list[Digest] = []
    collected: Instant | None = None
    duration_ms: float = 0.0
    source: Literal["fresh", "cached", "external", "attestation"] = "fresh"


class MetricOutcome(Model):
    """How the leaves of one metric combined."""

    path: str
    verdict: Verdict
    leaves: list[str]


class Finding(Model):
    """The outcome of one requirement in one assessment."""

    assessment: str
    requirement: str
    """Path `dimension/requirement`."""
    dimension: str
    severity: Severity
    verdict: Verdict
    metrics: list[MetricOutcome] = []
    reason: str
    risks: list[str] = []
    failing: list[str] = []
    """Paths of the leaves that are the cause."""
    waiver: str | None = None
    """Id of the waiver in force; the verdict stays what it is."""
    confidential: bool = False
    remediation: str | None = None


class Assessment(Model):
    """One cycle: the summary that its observations and findings hang on."""

    id: str
    collection: str
    subject: SubjectFacts
    specification: Digest
    specification_id: str
    specification_version: int
    mode: str
    trigger: Trigger
    started: Instant
    ended: Instant
    verdict: Verdict
    """Of the whole document."""
    complete: bool
    """Every requirement was due; only a complete pass raises the status."""
    dimensions: dict[str, Verdict] = {}
    counts: dict[Verdict, int] = {}
    """Number of leaves with each verdict."""
    engine_version: str


class StatusRecord(Model):
    """A step of the status machine, with its cause."""

    subject: str
    status: Status
    previous: Status
    since: Instant
    cause: str
    assessment: str | None = None
    findings: list[str] = []
    """Paths of the requirements that are the cause."""
    mode: str
    version: str | None = None
    """Model version that was audited."""
    digest: str | None = None
    """Digest of the model artefact."""
    actor: str = "engine"


class Waiver(Model):
    """A requirement's failure is accepted until an instant."""

    id: str
    subject: str
    requirement: str
    reason: str
    approver: str
    created: Instant
    expires: Instant


class Attestation(Model):
    """A person's answer to a manual measurement, until an instant."""

    id: str
    subject: str
    path: str
    """Path of the leaf."""
    statement: str
    value: Any
    party: str
    created: Instant
    valid_until: Instant
    evidence: list[Digest] = []


class BaselinePin(Model):
    """From now on targets relative to the baseline count from this assessment's values; the latest pin holds."""

    id: str
    subject: str
    assessment: str
    reason: str
    actor: str
    created: Instant


class Publication(Model):
    """What the publisher put out: files by name with their digests."""

    subject: str
    status: Status
    assessment: str | None
    published: Instant
    files: dict[str, Digest]


class StoredDocument(Model):
    """A specification, or one nested in it, whose text is kept under its digest."""

    subject: str
    path: str
    digest: Digest
    size: int


class DroppedBodies(Model):
    """The entries of one kind in a chain, from `first` to `through`, have lost their bodies."""

    chain: str
    kind: str
    first: int
    through: int
    count: int
    """How many lost it this time."""


class RetentionRecord(Model):
    """What a policy dropped and why; hashes stay, so the chains still hold."""

    id: str
    at: Instant
    reason: str
    evidence_before: Instant | None = None
    observations_before: Instant | None = None
    evidence: list[Digest] = []
    """Evidence that was dropped."""
    bodies: list[DroppedBodies] = []


class Entry(Model):
    """One link of a chain.

    The hash covers all other fields; the body is covered through its digest, so that retention can drop a body
    without breaking the chain.
    """

    chain: str
    """`collect:<subject>`, `assess:<subject>`, `publish:<subject>`, or `system`."""
    seq: int
    kind: str
    """Lower-case name of the type in `body`, for example `observation`."""
    key: str
    """Identifies the body among those of its kind in the chain; unique."""
    parent: str | None
    """Key of what it belongs to: an observation's assessment."""
    at: Instant
    body_digest: Digest
    body: str | None
    """Canonical JSON (RFC 8785: sorted keys, no spaces); None once retention dropped it."""
    previous: Digest
    hash: Digest


class Head(Model):
    """A signed statement that a chain ended with this hash at this time."""

    chain: str
    seq: int
    hash: Digest
    at: Instant
    key_id: str
    signature: str
    """Ed25519 over the canonical JSON of the other fields, base64."""
