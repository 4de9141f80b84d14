"""The status machine: none → conformant → conditional → suspended → revoked. Pure; time is an argument.

Down: a failure of the policy's severity suspends, at once or after k of the last n times it was due; until then the
status is conditional, so that no conformant subject has a failure of that severity. Up: only by an assessment in
which every requirement was due. Time: a suspension that lasts too long is revoked; a subject that nobody assesses is
suspended. By hand: revoked, with a reason and a name.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from cabc.document.durations import parse_duration
from cabc.document.model import Severity, StatusPolicy
from cabc.engine.rollup import FAILING
from cabc.record.types import Assessment, Finding, Status, StatusRecord, Verdict

__all__ = ["Outcome", "at_least", "elapse", "outcome", "revoke", "step"]

_SEVERITIES: tuple[str, ...] = get_args(Severity)
_UPWARDS = {Status.REVOKED: 0, Status.SUSPENDED: 1, Status.CONDITIONAL: 2, Status.CONFORMANT: 3}


@dataclass(frozen=True)
class Outcome:
    """What one assessment says to the status machine."""

    due: frozenset[str] | None
    """Paths of the requirements that were due; None means all."""
    grave: tuple[str, ...]
    """Paths of the requirements that fail unwaived and are of the policy's severity or above."""
    light: tuple[str, ...]
    """Those that fail unwaived below it."""
    waived: tuple[str, ...]
    satisfied: int
    """Number of requirements that are satisfied."""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Every requirement was due."""
        return self.due is None

    def judged(self, requirement: str) -> bool:
        """Say whether this assessment looked at a requirement anew."""
        return self.due is None or requirement in self.due


def at_least(severity: str, limit: str) -> bool:
    """Compare severities."""
    return _SEVERITIES.index(severity) >= _SEVERITIES.index(limit)


def outcome(findings: Sequence[Finding], policy: StatusPolicy, due: Collection[str] | None) -> Outcome:
    """Sort findings by what they mean to the status."""
    failing = [finding for finding in findings if finding.verdict in FAILING]
    unwaived = [finding for finding in failing if finding.waiver is None]
    grave = [finding for finding in unwaived if at_least(finding.severity, policy.suspend_on)]
    return Outcome(
        due=frozenset(due) if due else None,
        grave=tuple(finding.requirement for finding in grave),
        light=tuple(finding.requirement for finding in unwaived if finding not in grave),
        waived=tuple(finding.requirement for finding in failing if finding.waiver is not None),
        satisfied=sum(finding.verdict is Verdict.SATISFIED for finding in findings),
        verdicts={finding.requirement: finding.verdict for finding in failing},
    )


def step(
    assessment: Assessment,
    policy: StatusPolicy,
    current: Outcome,
    earlier: Sequence[Outcome],
    previous: StatusRecord | None,
) -> StatusRecord | None:
    """Return the status after an assessment, None when it stays as it is.

    `earlier` are the outcomes of the assessments before, latest first, back to where each requirement was judged
    `down.of` times.
    """
    before = previous.status if previous else Status.NONE
    status, findings, cause = _wanted(policy, current, earlier)
    if before is Status.NONE and not current.complete:
        return None  # nothing is issued on part of the evidence
    if status is Status.NONE:
        if before is Status.NONE:
            return None
        status, cause = Status.SUSPENDED, "no requirement was evaluated; nothing is conformant without one"
    kept = _kept(before, status, current)
    if kept is not None:
        status, cause = before, kept
        findings = findings or (tuple(previous.findings) if previous else ())
    if before is Status.NONE and status is Status.SUSPENDED:
        cause = f"not issued: {cause}"
    return _record(assessment, status, cause, findings, previous)


def _wanted(policy: StatusPolicy, current: Outcome, earlier: Sequence[Outcome]) -> tuple[Status, tuple[str, ...], str]:
    """Return the status that the findings alone ask for."""
    suspending = [path for path in current.grave if _failures(path, current, earlier, policy) >= policy.down.failures]
    if suspending:
        return (
            Status.SUSPENDED,
            tuple(suspending),
            _reasons(current, suspending, f"severity {policy.suspend_on} or above"),
        )
    adjusting = (*current.grave, *current.light, *current.waived)
    if adjusting:
        said = []
        if current.grave:
            most = max(_failures(path, current, earlier, policy) for path in current.grave)
            count = f"{most} of {policy.down.failures} failures before suspension"
            said.append(_reasons(current, current.grave, count))
        if current.light:
            said.append(_reasons(current, current.light, f"below severity {policy.suspend_on}"))
        if current.waived:
            said.append(_reasons(current, current.waived, "waived"))
        return Status.CONDITIONAL, adjusting, "; ".join(said)
    if current.satisfied == 0:
        return Status.NONE, (), ""
    return Status.CONFORMANT, (), f"all {current.satisfied} requirements that apply are satisfied"


def _failures(path: str, current: Outcome, earlier: Sequence[Outcome], policy: StatusPolicy) -> int:
    """Count failures of a requirement in the last `of` assessments that looked at it; cached ones say nothing new."""
    counted = []
    for index, each in enumerate((current, *earlier)):
        before = earlier[index] if index < len(earlier) else None
        # Evidence that got too old fails without being due; it counts once, when it begins to.
        new = path in each.grave and (before is None or path not in before.grave)
        if each.judged(path) or new:
            counted.append(path in each.grave)
    return sum(counted[: policy.down.of])


def _reasons(current: Outcome, paths: Sequence[str], why: str) -> str:
    named = [f"{path} is {current.verdicts.get(path, Verdict.NOT_SATISFIED).value}" for path in paths[:3]]
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""  # noqa: PLR2004 (as many as are named)
    return f"{', '.join(named)}{more} ({why})"


def _kept(before: Status, status: Status, current: Outcome) -> str | None:
    """Return why the status may not rise as far as the findings would let it; None when it may or does not rise."""
    if before is Status.NONE or _UPWARDS[status] <= _UPWARDS[before]:
        return None
    if before is Status.REVOKED and not (current.complete and status is Status.CONFORMANT):
        return "revoked before; only a full pass issues anew"
    if not current.complete:
        return f"{before.value} until an assessment of every requirement passes"
    if current.grave:
        return f"{before.value} before; {_reasons(current, current.grave, 'not passed yet')}"
    return None


def _record(
    assessment: Assessment, status: Status, cause: str, findings: Sequence[str], previous: StatusRecord | None
) -> StatusRecord | None:
    subject = assessment.subject
    before = previous.status if previous else Status.NONE
    other_subject = previous is not None and (previous.version, previous.digest) != (subject.version, subject.digest)
    changed = status is not before
    if previous is not None and not changed and not other_subject and list(findings) == previous.findings:
        return None
    # A suspension's clock runs on when another version is deployed; a conformity is issued to one version.
    anew = changed or previous is None or (other_subject and status in {Status.CONFORMANT, Status.CONDITIONAL})
    return StatusRecord(
        subject=subject.name,
        status=status,
        previous=before,
        since=assessment.ended if anew or previous is None else previous.since,
        cause=cause,
        assessment=assessment.id,
        findings=list(findings),
        mode=assessment.mode,
        version=subject.version,
        digest=subject.digest,
    )


def elapse(
    policy: StatusPolicy, previous: StatusRecord | None, last: dt.datetime | None, now: dt.datetime
) -> StatusRecord | None:
    """Return what time alone does: a suspension that lasts too long is revoked, a neglected subject is suspended.

    `last` is when the latest assessment ended.
    """
    if previous is None:
        return None
    if previous.status is Status.SUSPENDED and policy.revoke_after:
        limit = previous.since + parse_duration(policy.revoke_after)
        if now >= limit:
            cause = f"suspended since {previous.since:%Y-%m-%d %H:%M} UTC, longer than {policy.revoke_after}"
            return _after(previous, Status.REVOKED, cause, now)
    if previous.status in {Status.CONFORMANT, Status.CONDITIONAL} and policy.stale_after:
        since = last or previous.since
        if now >= since + parse_duration(policy.stale_after):
            cause = f"not assessed since {since:%Y-%m-%d %H:%M} UTC, longer than {policy.stale_after}"
            return _after(previous, Status.SUSPENDED, cause, now)
    return None


def revoke(previous: StatusRecord, *, reason: str, actor: str, now: dt.datetime) -> StatusRecord:
    """Return the status after somebody revoked it."""
    return _after(previous, Status.REVOKED, f"revoked by {actor}: {reason}", now, actor=actor)


def _after(
    previous: StatusRecord, status: Status, cause: str, now: dt.datetime, *, actor: str = "engine"
) -> StatusRecord:
    return previous.model_copy(
        update={
            "status": status,
            "previous": previous.status,
            "since": now,
            "cause": cause,
            "assessment": None,
            "actor": actor,
        }
    )
