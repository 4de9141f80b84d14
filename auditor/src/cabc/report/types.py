"""What a report says, whatever its format. Every text of other parties is made safe by its type."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from cabc.document.base import Digest, Instant, Model
from cabc.document.model import Severity
from cabc.engine.rollup import FAILING
from cabc.record.types import Status, Verdict
from cabc.text import one_line, safe

__all__ = [
    "FAILING",
    "ActionItem",
    "AssessmentView",
    "AttestationView",
    "ChainView",
    "Change",
    "DimensionView",
    "EvidenceView",
    "FindingView",
    "LeafPoint",
    "LeafView",
    "Line",
    "Mitigation",
    "PartyView",
    "Reader",
    "ReportView",
    "RiskView",
    "SourceView",
    "SpecificationView",
    "StatusStep",
    "StatusView",
    "SubjectView",
    "Text",
    "TrendPoint",
    "WaiverView",
]

Reader = Literal["executive", "engineer", "auditor"]

Line = Annotated[str, AfterValidator(lambda text: one_line(text, limit=1000))]
"""Text of another party on one line, without control, invisible or reordering characters."""

Text = Annotated[str, AfterValidator(safe)]
"""The same on several lines."""


def _safe_value(value: Any) -> Any:
    match value:
        case str():
            return safe(value)
        case list() | tuple():
            return [_safe_value(part) for part in value]
        case dict():
            return {safe(str(key)): _safe_value(part) for key, part in value.items()}
        case _:
            return value


Plain = Annotated[Any, AfterValidator(_safe_value)]
"""A value or target as recorded, its texts made safe."""


class SubjectView(Model):
    """What was audited."""

    name: Line
    registered_model: Line | None = None
    version: Line | None = None
    run_id: Line | None = None
    digest: Line | None = None
    """Digest of the model artefact."""
    inference_service: Line | None = None
    image_digest: Line | None = None


class SourceView(Model):
    """A law, standard or policy behind the specification."""

    title: Line
    url: Line | None = None
    articles: list[Line] = []


class PartyView(Model):
    """Somebody with a role in the audit."""

    id: Line
    name: Line
    role: str
    keys: list[Line] = []
    """Fingerprints of the keys that verify what this party signs."""


class SpecificationView(Model):
    """What was audited against."""

    id: Line
    version: int
    name: Line
    comment: Text | None = None
    digest: Digest
    mode: str
    mode_text: Line
    sources: list[SourceView] = []
    parties: list[PartyView] = []


class StatusView(Model):
    """The conformity status, with its cause."""

    status: Status
    text: Line
    """What it means in this mode."""
    since: Instant | None = None
    valid_until: Instant | None = None
    """Without a newer assessment the status is not to be relied upon from then on."""
    cause: Line | None = None
    findings: list[Line] = []
    actor: Line | None = None


class AssessmentView(Model):
    """One cycle of the audit."""

    id: Line
    collection: Line
    started: Instant
    ended: Instant
    trigger: Line
    verdict: Verdict
    complete: bool
    """Every requirement was due."""
    latest: bool
    """No later assessment of this subject exists."""
    engine_version: Line


class EvidenceView(Model):
    """Stored bytes behind a value or a target."""

    digest: Digest
    role: Literal["value", "target"]
    media_type: Line
    size: int
    collected: Instant
    age_seconds: int
    """Age when the assessment ended."""
    origin: Line
    redacted: bool


class LeafPoint(Model):
    """An earlier value of a leaf."""

    at: Instant
    value: float | None
    verdict: Verdict


class LeafView(Model):
    """One measurement and its outcome."""

    path: Line
    requirement: Line
    verdict: Verdict
    confidential: bool
    hidden: bool
    """What follows is withheld from this reader."""
    critical: bool = True
    name: Line | None = None
    comment: Text | None = None
    reason: Line | None = None
    value: Plain = None
    target: Plain = None
    comparison: Line | None = None
    unit: Line | None = None
    found: Line | None = None
    """Value and unit as text."""
    wanted: Line | None = None
    """Comparison, target and unit as text."""
    interface: Line | None = None
    assessor: Line | None = None
    frequency: Line | None = None
    source: str | None = None
    collected: Instant | None = None
    age_seconds: int | None = None
    max_age: str | None = None
    duration_ms: float | None = None
    specification: Digest | None = None
    evidence: list[EvidenceView] = []
    points: list[LeafPoint] = []
    low: float | None = None
    """Lower end of what is allowed, for plots."""
    high: float | None = None


class WaiverView(Model):
    """A failure that is accepted until an instant."""

    id: Line
    requirement: Line
    state: Literal["in force", "expired"]
    created: Instant
    expires: Instant
    reason: Line | None = None
    approver: Line | None = None


class AttestationView(Model):
    """A person's answer, valid until an instant."""

    id: Line
    path: Line
    state: Literal["valid", "expired"]
    created: Instant
    valid_until: Instant
    statement: Line | None = None
    party: Line | None = None
    value: Plain = None
    evidence: list[Digest] = []


class ActionItem(Model):
    """What has to be done about a finding."""

    finding: Line
    severity: Severity
    action: Line
    due: Instant | None = None
    owner: Line | None = None


class FindingView(Model):
    """The outcome of one requirement."""

    requirement: Line
    name: Line
    dimension: Line
    severity: Severity
    verdict: Verdict
    hidden: bool
    reason: Line | None = None
    comment: Text | None = None
    risks: list[Line] = []
    leaves: list[Line] = []
    failing: list[Line] = []
    waiver: WaiverView | None = None
    remediation: Text | None = None
    frequency: Line | None = None
    failing_since: Instant | None = None
    failing_longer: bool = False
    """It failed in the oldest assessment looked at, so `failing_since` is the latest it can be."""


class Mitigation(Model):
    """A requirement that reduces a risk, and whether it does now."""

    requirement: Line
    verdict: Verdict
    waived: bool


class RiskView(Model):
    """A risk and what stands against it."""

    id: Line
    statement: Line
    likelihood: str
    impact: str
    level: Literal["low", "medium", "high"]
    """Likelihood times impact, on three steps."""
    status: str
    state: Literal["reduced", "waived", "not reduced", "not assessed", "not covered"]
    owner: Line | None = None
    deadline: Instant | None = None
    mitigations: list[Mitigation] = []


class DimensionView(Model):
    """A quality dimension in one line."""

    id: Line
    name: Line
    verdict: Verdict
    satisfied: int
    requirements: int


class Change(Model):
    """A leaf whose outcome differs from the assessment before."""

    path: Line
    before: Verdict | None
    after: Verdict | None
    before_value: Line | None = None
    after_value: Line | None = None


class TrendPoint(Model):
    """One of the last assessments."""

    assessment: Line
    at: Instant
    verdict: Verdict
    complete: bool
    version: Line | None = None
    counts: dict[Verdict, int]


class StatusStep(Model):
    """A change of the status."""

    since: Instant
    status: Status
    cause: Line | None = None
    actor: Line | None = None
    assessment: Line | None = None
    version: Line | None = None


class ChainView(Model):
    """A signed head: the record ended with this hash."""

    chain: Line
    seq: int
    hash: Digest
    at: Instant
    key_id: Line


class ReportView(Model):
    """All that a reader may see of one assessment."""

    format: Literal["cabc-report/1"] = "cabc-report/1"
    reader: Reader
    summary: Line
    subject: SubjectView
    specification: SpecificationView
    status: StatusView
    assessment: AssessmentView
    counts: dict[Verdict, int]
    """Number of leaves with each verdict."""
    dimensions: list[DimensionView] = []
    findings: list[FindingView] = []
    """Every requirement; those that are not satisfied first, the most severe before others."""
    leaves: list[LeafView] = []
    """Every leaf, failing ones first; none for executives."""
    risks: list[RiskView] = []
    waivers: list[WaiverView] = []
    attestations: list[AttestationView] = []
    actions: list[ActionItem] = []
    changes: list[Change] = []
    compared_with: Line | None = None
    """The assessment that `changes` are against."""
    trend: list[TrendPoint] = []
    """The last assessments, oldest first."""
    history: list[StatusStep] = []
    """Changes of the status, oldest first."""
    chains: list[ChainView] = []
    withheld: int = 0
    """Number of confidential leaves whose details this reader does not see."""

    @property
    def problems(self) -> list[FindingView]:
        """Return the requirements that are not satisfied."""
        return [finding for finding in self.findings if finding.verdict in FAILING]
