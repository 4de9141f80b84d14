"""What the auditor's status says about one model version. Pure.

The auditor has one status per subject, and the subject's version changes under it: a status that an earlier version
earned, good or bad, is carried along until every requirement was looked at for the new one. A step of the status
therefore counts for a version only with a complete assessment of that version, made while no other version was
audited in between; until then the step says nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

__all__ = ["Assessed", "Span", "Standing", "Status", "Step", "spans", "standings"]

_EVER = dt.datetime.min.replace(tzinfo=dt.UTC)
_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


class Status(StrEnum):
    """Conformity status, in the auditor's words."""

    NONE = "none"
    CONFORMANT = "conformant"
    CONDITIONAL = "conditional"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


ADVERSE = frozenset({Status.SUSPENDED, Status.REVOKED})

ENGINE = "engine"
"""Who a step is of when no person took it."""


@dataclass(frozen=True)
class Step:
    """A change of the subject's status."""

    since: dt.datetime
    status: Status
    version: str | None
    """The version that was audited; None when the auditor could not find it out."""
    assessment: str | None
    """None when time alone, or a person, changed the status."""
    text: str = ""
    actor: str = ENGINE


@dataclass(frozen=True)
class Assessed:
    """An assessment, as far as it matters here."""

    id: str
    version: str | None
    digest: str | None
    """Of the artefact that was audited."""
    complete: bool
    """Every requirement was due."""
    ended: dt.datetime


@dataclass(frozen=True)
class Span:
    """A time in which one version was audited and no other."""

    version: str
    steps: Sequence[Step]
    """Oldest first."""
    begin: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class Standing:
    """The status of one version."""

    version: str
    status: Status
    since: dt.datetime
    cause: str
    """Id of the assessment; `<status>@<since>` where there is none."""
    assessment: str | None
    text: str


def standings(
    steps: Iterable[Step], assessed: Mapping[str, Assessed], digests: Mapping[str, str]
) -> dict[str, Standing]:
    """Return the standing of every version that has one. `steps` come latest first, as the auditor tells them.

    `digests` are those of the registry: an assessment of another artefact under the same number says nothing.
    """
    found: dict[str, Standing] = {}
    for span in spans(steps, assessed):
        full = sorted(
            (
                each
                for each in assessed.values()
                if each.version == span.version
                and each.complete
                and span.begin < each.ended < span.end
                and not _another(each, digests)
            ),
            key=lambda each: each.ended,
        )
        for step in span.steps:
            if (standing := _standing(span.version, step, full)) is not None:
                found[span.version] = standing
    return found


def spans(steps: Iterable[Step], assessed: Mapping[str, Assessed]) -> list[Span]:
    """Return the times in which one version was audited and no other, oldest first; `steps` come latest first."""
    # A suspension keeps its first instant from version to version, so the instant of a step is its assessment's.
    dated = [
        replace(step, since=assessed[step.assessment].ended)
        if step.assessment and step.assessment in assessed
        else step
        for step in reversed(list(steps))
    ]
    found: list[Span] = []
    begin = _EVER
    groups = [(version, list(own)) for version, own in groupby(dated, key=lambda step: step.version)]
    for number, (version, own) in enumerate(groups):
        end = groups[number + 1][1][0].since if number + 1 < len(groups) else _NEVER
        if version is not None:
            found.append(Span(version, own, begin, end))
        begin = own[-1].since
    return found


def _standing(version: str, step: Step, full: Sequence[Assessed]) -> Standing | None:
    """Return what a step makes of a version; None when it says nothing about it.

    `full` are the version's complete assessments in this span, oldest first. That a status rises within a span only
    by a full pass is the auditor's own rule.
    """
    by_hand = step.status in ADVERSE and step.actor != ENGINE
    if step.status is Status.NONE or not (full or by_hand):
        return None
    # A full assessment that confirms what was carried along makes no step of its own.
    assessment = full[0].id if full and full[0].ended > step.since else step.assessment
    cause = assessment or f"{step.status.value}@{step.since.isoformat()}"
    return Standing(version, step.status, step.since, cause, assessment, step.text)


def _another(assessment: Assessed, digests: Mapping[str, str]) -> bool:
    known = digests.get(assessment.version or "")
    return bool(known and assessment.digest and known != assessment.digest)
