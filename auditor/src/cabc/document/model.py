"""The conformity specification: Tables 21-25 of IML4E D4.4 (CC BY 4.0), with the parts that its method needs.

Names of the seed's attributes and ours: Name `name`, Comment `comment`, ConfidentialityFlag `confidential`,
Assessor `assessor`, AssessmentInterface `interface`, Frequency `frequency`, ComparisonStrategy `comparison`,
DataType `dataType`, TargetValue `target`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from cabc.document.base import Digest, Instant, Model, Name, Slug
from cabc.document.durations import Duration
from cabc.document.installed import Interface
from cabc.document.subject import SubjectSelector

__all__ = [
    "AtLeast",
    "BaselineTarget",
    "ConformitySpecification",
    "Dimension",
    "Document",
    "Element",
    "InterfaceTarget",
    "Measurement",
    "Metric",
    "NestedDocument",
    "Party",
    "RangeTarget",
    "ReferenceTarget",
    "Requirement",
    "Risk",
    "Severity",
    "Source",
    "StatusPolicy",
    "SubjectSelector",
    "Target",
    "Weighted",
]

Severity = Literal["info", "low", "medium", "high", "critical"]
Level = Literal["low", "medium", "high"]
Frequency = Annotated[str, StringConstraints(min_length=3, max_length=100)]
"""ISO 8601 duration, five-field cron expression (UTC), or `on-event`."""


class Source(Model):
    """A law, standard or policy that the specification puts into practice."""

    title: Name
    url: str | None = None
    articles: list[str | int] = []
    """Articles, clauses or controls that are meant."""


class Party(Model):
    """Somebody with a role in the audit."""

    id: Slug
    name: Name | None = None
    role: Literal["auditee", "auditing-party", "publisher", "assessor", "certification-body"]
    public_keys: list[str] = []
    """Ed25519 public keys (PEM) that verify what this party signs."""


class Risk(Model):
    """What can go wrong; requirements mitigate it."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
    statement: Name
    likelihood: Level
    impact: Level
    status: Literal["open", "investigating", "remediating", "deviation-requested", "deviation-approved", "closed"] = (
        "open"
    )
    owner: Name | None = None
    deadline: Instant | None = None


class DownPolicy(Model):
    """How many of the last full assessments must fail before the status goes down."""

    failures: Annotated[int, Field(ge=1, le=10)] = 1
    of: Annotated[int, Field(ge=1, le=10)] = 1


class StatusPolicy(Model):
    """How verdicts over time become a status."""

    suspend_on: Severity = "critical"
    """A requirement of this severity or above that is not satisfied suspends; below it the status is conditional."""
    revoke_after: Duration | None = None
    """A suspension that lasts longer becomes a revocation."""
    stale_after: Duration | None = None
    """Without a completed assessment for this long the status is suspended."""
    down: DownPolicy = DownPolicy()
    """Against flapping: k failures out of the last n assessments; up needs one full pass."""


class NestedDocument(Model):
    """Another party's specification, kept beside this one and pinned by its digest."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    """Path relative to this document; never a URL, never outside its folder."""
    digest: Digest
    """SHA-256 of the file's bytes."""


class Element(Model):
    """The five attributes that every level of the specification has, an id, and an inherited frequency."""

    id: Slug
    """Unique among its siblings; the path of ids names a leaf everywhere."""
    name: Name | None = None
    """Name of the element; the id when not given."""
    comment: str | None = None
    """Explanation for readers."""
    confidential: bool = False
    """Hide values, target, interface and comment below here; never hides that a failure exists."""
    assessor: Slug | None = None
    """Party that assesses this element; none means the auditing party."""
    interface: Interface | None = None
    """How to retrieve a value or a result. Required at a measurement, and wherever there is an assessor."""
    frequency: Frequency | None = None
    """How often it is assessed; inherited downwards."""

    @field_validator("assessor", mode="before")
    @classmethod
    def _none_means_none(cls, value: object) -> object:
        """Read the seed's word "None" as no external assessor."""
        return None if value == "None" else value


class RangeTarget(Model):
    """Both ends inclusive; an end that is left out is open."""

    min: float | str | None = None
    max: float | str | None = None


class ReferenceTarget(Model):
    """A fact about the subject: `subject.version`, `subject.runId`, `subject.digest`."""

    ref: Annotated[str, StringConstraints(pattern=r"^subject\.[a-zA-Z]+$")]


class InterfaceTarget(Model):
    """A target that is retrieved like a value, and kept as evidence like one."""

    interface: Interface


class BaselineTarget(Model):
    """The pinned baseline's value of the same measurement, moved by a relative or absolute margin."""

    baseline: Literal["pinned"]
    relative: float | None = None
    """Fraction of the baseline's value that is added: -0.05 allows 5 % less."""
    absolute: float | None = None
    """Amount that is added."""


Target = (
    bool
    | int
    | float
    | str
    | list[int | float | str]
    | RangeTarget
    | ReferenceTarget
    | InterfaceTarget
    | BaselineTarget
)


class Measurement(Element):
    """A leaf: one value, compared with its target."""

    data_type: str
    """numeric, ordinal, boolean, string, or a type of a plugin."""
    comparison: str
    """LessThan, LessThanOrEqual, GreaterThan, GreaterThanOrEqual, EqualTo, NotEqualTo, Contains, In, InRange,
    WithinTolerance, Matches, or a strategy of a plugin."""
    target: Target
    """What the value is compared with."""
    tolerance: float | None = None
    """For WithinTolerance, and for EqualTo on fractions."""
    unit: str | None = None
    """Unit of target and value, for example second or percent."""
    value_unit: str | None = None
    """Unit in which the interface gives the value, when it differs from `unit`; converted before comparing."""
    scale: list[str] | None = None
    """Values of an ordinal measurement, lowest first."""
    max_age: Duration | None = None
    """Older evidence is stale, and stale never counts as satisfied."""
    timeout: Duration | None = None
    """Time the retrieval may take; 30 s when not given."""
    critical: bool = True
    """A failure of a measurement that is not critical is reported and does not fail its metric."""


class AtLeast(Model):
    """So many of the measurements must be satisfied."""

    at_least: Annotated[int, Field(ge=1)]


class Weighted(Model):
    """The satisfied measurements' share of all weights must reach `min`."""

    weights: dict[Slug, Annotated[float, Field(gt=0)]]
    min: Annotated[float, Field(gt=0, le=1)]


class Metric(Element):
    """Measurements that together answer one question."""

    aggregate: Literal["all", "any"] | AtLeast | Weighted = "all"
    """How the verdicts of the measurements become the metric's."""
    measurements: list[Measurement] = []


class Requirement(Element):
    """What must hold; the unit of findings, waivers and risks."""

    severity: Severity
    mitigates: list[str] = []
    """Ids of the risks that this requirement reduces."""
    remediation: str | None = None
    """What to do when it is not satisfied."""
    applies_when: dict[str, str] = {}
    """Facts about the subject (`subject.…`) that must be equal for it to apply; otherwise it is not applicable."""
    metrics: list[Metric] = []
    document: NestedDocument | None = None
    """Another party's specification in place of metrics."""


class Dimension(Element):
    """A quality dimension: fairness, transparency, reliability, privacy, security."""

    requirements: list[Requirement] = []
    document: NestedDocument | None = None
    """Another party's specification in place of requirements."""


class ConformitySpecification(Element):
    """The whole document: what is audited, by whom, against which requirements, and what the status means."""

    version: Annotated[int, Field(ge=1)]
    """Raised with every change that readers should know of."""
    mode: Literal["self-assessment", "third-party", "certification"]
    """Only certification may say "certified"."""
    source: list[Source] = []
    parties: list[Party] = []
    subject: SubjectSelector
    risks: list[Risk] = []
    status_policy: StatusPolicy = StatusPolicy()
    dimensions: list[Dimension] = []


class Document(Model):
    """The file: one key, the specification."""

    conformity_specification: ConformitySpecification
