"""The one view model behind every format. Its cost follows the size of the run, never the length of the history."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Protocol, runtime_checkable

from cabc.document.durations import parse_duration
from cabc.document.loaded import LoadedDocument
from cabc.document.model import Party
from cabc.record.store import Record
from cabc.record.types import Head, Status, StatusRecord, Verdict
from cabc.report.context import TREND, Context, open_context
from cabc.report.leaves import changes, leaf_views
from cabc.report.requirements import (
    action_items,
    attestation_views,
    dimension_views,
    finding_views,
    risk_views,
    waiver_views,
)
from cabc.report.types import (
    FAILING,
    AssessmentView,
    ChainView,
    FindingView,
    PartyView,
    Reader,
    ReportView,
    SourceView,
    SpecificationView,
    StatusStep,
    StatusView,
    SubjectView,
    TrendPoint,
)
from cabc.report.wording import mode_text, statement, words

__all__ = ["TREND", "view"]


@runtime_checkable
class Heads(Protocol):
    """A record that gives the signed head of a chain."""

    def head(self, chain: str) -> Head | None: ...


_STEPS = 50
"""So many changes of the status a report looks at."""


def view(
    record: Record,
    assessment_id: str,
    *,
    reader: Reader,
    document: LoadedDocument | None = None,
) -> ReportView:
    """Return what a reader may see of an assessment; `document` spares reading a specification that is known.

    Ages count to the end of the assessment, so the same assessment gives the same report at any later time.
    """
    context = open_context(record, assessment_id, reader, document)
    findings = finding_views(context)
    leaves = leaf_views(context)
    steps = _steps(context)
    status = _status(context, steps, findings)
    return ReportView(
        reader=reader,
        summary=_summary(context, status, findings),
        subject=SubjectView.model_validate(context.assessment.subject.model_dump(exclude={"source"})),
        specification=_specification(context),
        status=status,
        assessment=_assessment(context),
        counts={verdict: count for verdict in Verdict if (count := context.assessment.counts.get(verdict, 0))},
        dimensions=dimension_views(context, findings),
        findings=findings,
        leaves=[] if reader == "executive" else leaves,
        risks=risk_views(context, findings),
        waivers=waiver_views(context),
        attestations=attestation_views(context) if reader != "executive" else [],
        actions=action_items(context, findings),
        changes=changes(context),
        compared_with=context.earlier[0].id if context.earlier else None,
        trend=_trend(context),
        history=_history(context, steps),
        chains=_chains(context) if reader == "auditor" else [],
        withheld=sum(leaf.hidden for leaf in leaves),
    )


def _steps(context: Context) -> list[StatusRecord]:
    """Return the last changes of the status up to this assessment, oldest first; all of them when it is the latest."""
    known = context.record.history(context.assessment.subject.name, limit=_STEPS)
    if not context.latest:
        end = context.assessment.ended
        known = [step for step in known if step.assessment == context.assessment.id or step.since <= end]
    return known[::-1]


def _status(context: Context, steps: list[StatusRecord], findings: list[FindingView]) -> StatusView:
    mode = context.assessment.mode
    if not steps:
        return StatusView(status=Status.NONE, text=statement(mode, Status.NONE))
    last = steps[-1]
    return StatusView(
        status=last.status,
        text=statement(mode, last.status),
        since=last.since,
        valid_until=_valid_until(context),
        cause=_cause(context, last, findings),
        findings=last.findings,
        actor=last.actor,
    )


def _valid_until(context: Context) -> dt.datetime | None:
    limit = context.document.specification.status_policy.stale_after
    return context.assessment.ended + parse_duration(limit) if limit else None


def _cause(context: Context, step: StatusRecord, findings: list[FindingView] | None = None) -> str:
    """Return why the status changed; for guarded readers without what a confidential element may have told."""
    touched = [*step.findings, *(found.requirement for found in findings or [] if found.waiver)]
    if not any(context.hides_reason(path) for path in touched):
        return step.cause
    count = len(step.findings)
    return f"{count} requirement{'' if count == 1 else 's'} not satisfied: {', '.join(step.findings)}"


def _history(context: Context, steps: list[StatusRecord]) -> list[StatusStep]:
    return [
        StatusStep(
            since=step.since,
            status=step.status,
            cause=_cause(context, step),
            actor=step.actor,
            assessment=step.assessment,
            version=step.version,
        )
        for step in steps
    ]


def _trend(context: Context) -> list[TrendPoint]:
    return [
        TrendPoint(
            assessment=found.id,
            at=found.ended,
            verdict=found.verdict,
            complete=found.complete,
            version=found.subject.version,
            counts=found.counts,
        )
        for found in [*reversed(context.earlier), context.assessment]
    ]


def _assessment(context: Context) -> AssessmentView:
    found = context.assessment
    return AssessmentView(
        id=found.id,
        collection=found.collection,
        started=found.started,
        ended=found.ended,
        trigger=f"{found.trigger.kind} ({found.trigger.source})",
        verdict=found.verdict,
        complete=found.complete,
        latest=context.latest,
        engine_version=found.engine_version,
    )


def _specification(context: Context) -> SpecificationView:
    specification = context.document.specification
    hidden = specification.confidential and context.guarded
    return SpecificationView(
        id=specification.id,
        version=specification.version,
        name=specification.id if hidden else specification.name or specification.id,
        comment=None if hidden else specification.comment,
        digest=context.document.digest,
        mode=specification.mode,
        mode_text=mode_text(specification.mode),
        sources=[
            SourceView(title=source.title, url=source.url, articles=[str(article) for article in source.articles])
            for source in specification.source
        ],
        parties=[_party(party) for party in specification.parties],
    )


def _party(party: Party) -> PartyView:
    keys = [hashlib.sha256(key.strip().encode()).hexdigest()[:16] for key in party.public_keys]
    return PartyView(id=party.id, name=party.name or party.id, role=party.role, keys=keys)


def _chains(context: Context) -> list[ChainView]:
    """Return the signed heads of what was collected and assessed, where the record can give them."""
    if not isinstance(context.record, Heads):
        return []
    subject = context.assessment.subject.name
    heads = [context.record.head(f"{role}:{subject}") for role in ("collect", "assess")]
    return [
        ChainView(chain=head.chain, seq=head.seq, hash=head.hash, at=head.at, key_id=head.key_id)
        for head in heads
        if head is not None
    ]


def _summary(context: Context, status: StatusView, findings: list[FindingView]) -> str:
    """Say in two sentences what the status is, since when, and why."""
    subject = context.assessment.subject
    version = f" version {subject.version}" if subject.version else ""
    since = f" since {status.since:%Y-%m-%d %H:%M} UTC" if status.since else ""
    opening = f"{subject.name}{version}: {words(status.status)}{since}."
    bad = [found for found in findings if found.verdict in FAILING - {Verdict.NEEDS_REVIEW}]
    failing = [found for found in bad if not found.waiver]
    review = sum(found.verdict is Verdict.NEEDS_REVIEW and not found.waiver for found in findings)
    waived = sum(found.verdict in FAILING and found.waiver is not None for found in findings)
    if not failing and not review:
        kept = sum(found.verdict is Verdict.SATISFIED for found in findings)
        rest = f"{waived} waived" if waived else "none fails"
        return f"{opening} {kept} of {len(findings)} requirements are satisfied, {rest}."
    risks = sorted({risk for found in failing for risk in found.risks})
    touched = f", which leaves {'risk' if len(risks) == 1 else 'risks'} {', '.join(risks)} open" if risks else ""
    parts = [f"{len(failing)} of {len(findings)} requirements not satisfied{touched}"] if failing else []
    parts += [f"{review} waiting for a person's answer"] if review else []
    parts += [f"{waived} waived"] if waived else []
    return f"{opening} {'; '.join(parts)}."
