"""A recorded history of one audited model: it passes, gets a waiver, then a version that is unfair."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cabc.document.loaded import LoadedDocument, RequirementNode
from cabc.document.model import NestedDocument
from cabc.loading import load_text
from cabc.record.canonical import digest
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord
from cabc.record.types import (
    Evidence,
    Finding,
    LeafEvidence,
    MetricOutcome,
    Observation,
    Status,
    StatusRecord,
    Verdict,
    Waiver,
)

from tests.support import cabc as sample

SPECIFICATION = (Path(__file__).parents[1] / "auditor/report/data/credit-scoring.yaml").read_text(encoding="utf-8")

SUBJECT = "credit-scoring"
START = dt.datetime(2026, 11, 10, 6, 0, tzinfo=dt.UTC)
BIAS = "data-governance/bias-exam"
RATIO = f"{BIAS}/disparity/fpr-ratio"
SUPPLY = "accuracy-robustness-security/supply-chain"
CVE = f"{SUPPLY}/image/worst-cve"
LOGGED = "record-keeping/logs-complete/coverage/logged-share"
REVIEW = "record-keeping/reviewed/review/signed-off"
LATENCY = "accuracy-robustness-security/operation/live/p95-latency"

GOOD: dict[str, Any] = {
    RATIO: 0.94,
    f"{BIAS}/disparity/sample-size": 12840,
    LOGGED: 0.998,
    REVIEW: True,
    "accuracy-robustness-security/accuracy/auc/auc-test": 0.861,
    LATENCY: 0.182,
    CVE: "medium",
}


@dataclass(frozen=True)
class Run:
    """One cycle: what differs from a good one."""

    values: dict[str, Any] = field(default_factory=dict)
    bad: dict[str, tuple[Verdict, str]] = field(default_factory=dict)
    status: Status = Status.CONFORMANT
    cause: str = "every requirement is satisfied"
    version: str = "3"
    waiver: str | None = None


def document(text: str = SPECIFICATION) -> LoadedDocument:
    """Return the specification with its leaves."""

    def nested(reference: NestedDocument) -> bytes:
        msg = f"no nested document is expected, found {reference.path}"
        raise AssertionError(msg)

    return load_text(text.encode(), "spec.yaml", nested)


def history() -> list[Run]:
    """Return twelve runs: good ones, a waived slow one, a fair end and an unfair new version."""
    slow = {LATENCY: (Verdict.NOT_SATISFIED, "found 0.41 second, wanted less than 0.3 second")}
    cve = {CVE: (Verdict.NOT_SATISFIED, "found critical, wanted less than high: CVE-2026-0001 of Contoso")}
    runs = [Run({RATIO: 0.9 + 0.01 * step, LATENCY: 0.15 + 0.012 * step}) for step in range(6)]
    runs += [
        Run({LATENCY: 0.41}, slow, Status.CONDITIONAL, "operation is waived by w1", waiver="w1"),
        Run({LATENCY: 0.38}, slow, Status.CONDITIONAL, "operation is waived by w1", waiver="w1"),
        Run({LATENCY: 0.19}),
        Run({LATENCY: 0.2, RATIO: 0.88}),
    ]
    unfair = {RATIO: (Verdict.NOT_SATISFIED, "found 0.61, wanted from 0.8 to 1.25")}
    late = {LOGGED: (Verdict.ERROR, "no value: the query gave no sample")}
    open_ = {REVIEW: (Verdict.NEEDS_REVIEW, "nobody has attested this yet, or it expired")}
    suspended = "data-governance/bias-exam is not satisfied (critical)"
    values = {RATIO: 0.61, LOGGED: None, CVE: "critical", REVIEW: None}
    runs.append(Run({RATIO: 0.64}, unfair, Status.SUSPENDED, suspended, "4"))
    runs.append(Run(values, unfair | late | open_ | cve, Status.SUSPENDED, suspended, "4"))
    return runs


def record_history(
    book: DatabaseRecord, runs: list[Run] | None = None, *, text: str = SPECIFICATION, every: float = 24.0
) -> list[str]:
    """Record the runs, `every` hours one, and return the assessments' ids, oldest first."""
    known = document(text)
    book.put_document(SUBJECT, text.encode(), "spec.yaml")
    waiver = Waiver(
        id="w1",
        subject=SUBJECT,
        requirement="accuracy-robustness-security/operation",
        reason="The second replica arrives on Wednesday",
        approver="Dana Doe",
        created=START + dt.timedelta(hours=every * 5.5),
        expires=START + dt.timedelta(hours=every * 7.5),
    )
    book.append([draft(waiver)])
    names = []
    status = Status.NONE
    for number, run in enumerate(runs or history(), 1):
        at = START + dt.timedelta(hours=every * (number - 1))
        names.append(_record_run(book, _Cycle(known, number, at, run), status))
        status = run.status
    return names


@dataclass(frozen=True)
class _Cycle:
    """One run being recorded."""

    known: LoadedDocument
    number: int
    at: dt.datetime
    run: Run

    @property
    def name(self) -> str:
        return f"a{self.number:05d}"

    @property
    def values(self) -> dict[str, Any]:
        return {leaf.path: GOOD.get(leaf.path, 1.0) for leaf in self.known.leaves()} | self.run.values

    def body(self, path: str) -> bytes:
        return f"{path} {self.values[path]!r} {self.number}".encode()

    def evidence(self, path: str) -> Evidence | None:
        if self.values[path] is None:
            return None
        body = self.body(path)
        return sample.evidence(
            body,
            collected=self.at - dt.timedelta(seconds=90),
            origin=f"metric {Path(path).name} of mlflow",
        )


def _record_run(book: DatabaseRecord, cycle: _Cycle, previous: Status) -> str:
    run, at = cycle.run, cycle.at
    ask = sample.trigger(f"t{cycle.number:05d}", kind="schedule", source="bias-exam", received=at)
    facts = sample.subject(
        registered_model="credit-scoring",
        version=run.version,
        run_id=f"run{run.version}",
        digest=digest(f"model {run.version}".encode()),
        inference_service="credit/scoring",
    )
    had = [
        LeafEvidence(path=path, value=cycle.evidence(path), error=None if cycle.values[path] else "no value")
        for path in (leaf.path for leaf in cycle.known.leaves())
    ]
    ended = at + dt.timedelta(seconds=4)
    common = {"subject": facts, "specification": cycle.known.digest, "trigger": ask, "started": at, "ended": ended}
    collected = sample.collection(f"c{cycle.number:05d}", leaves=had, **common)
    book.append([draft(ask)])
    for leaf in had:
        if leaf.value:
            book.put_evidence(leaf.value, cycle.body(leaf.path))
    book.append([draft(collected)])
    outcomes = list(_outcomes(cycle))
    findings = [_finding(node, cycle, outcomes) for node in cycle.known.requirements]
    verdicts = [outcome.verdict for outcome in outcomes]
    specification = cycle.known.specification
    failing = [found.requirement for found in findings if found.verdict is not Verdict.SATISFIED]
    summary = sample.assessment(
        cycle.name,
        collection=collected.id,
        specification_id=specification.id,
        specification_version=specification.version,
        mode=specification.mode,
        verdict=Verdict.NOT_SATISFIED if failing else Verdict.SATISFIED,
        dimensions=_dimensions(findings),
        counts={verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        **common,
    )
    drafts = [draft(body, subject=SUBJECT) for body in [*outcomes, *findings, summary]]
    if run.status is not previous:
        step = StatusRecord(
            subject=SUBJECT,
            status=run.status,
            previous=previous,
            since=ended,
            cause=run.cause,
            assessment=cycle.name,
            findings=failing,
            mode=specification.mode,
            version=run.version,
            digest=facts.digest,
        )
        drafts.append(draft(step))
    book.append(drafts)
    return cycle.name


def _outcomes(cycle: _Cycle) -> Iterator[Observation]:
    for node in cycle.known.requirements:
        for leaf in node.leaves:
            element: Any = leaf.element
            value = cycle.values[leaf.path]
            verdict, reason = cycle.run.bad.get(leaf.path, (Verdict.SATISFIED, f"found {value}, as wanted"))
            kept = cycle.evidence(leaf.path)
            target = element.target
            yield Observation(
                assessment=cycle.name,
                path=leaf.path,
                requirement=node.path,
                verdict=verdict,
                reason=reason,
                value=value,
                target=target.model_dump() if hasattr(target, "model_dump") else target,
                comparison=element.comparison,
                unit=element.unit,
                confidential=leaf.confidential,
                evidence=[kept.digest] if kept else [],
                collected=kept.collected if kept else None,
                duration_ms=12.5,
                source="attestation" if element.interface.kind == "manual" else "fresh",
            )


def _finding(node: RequirementNode, cycle: _Cycle, outcomes: list[Observation]) -> Finding:
    mine = [found for found in outcomes if found.requirement == node.path]
    bad = [found for found in mine if found.verdict is not Verdict.SATISFIED]
    verdict = bad[0].verdict if bad else Verdict.SATISFIED
    metric = MetricOutcome(path=mine[0].path.rsplit("/", 1)[0], verdict=verdict, leaves=[found.path for found in mine])
    return Finding(
        assessment=cycle.name,
        requirement=node.path,
        dimension=node.dimension.id,
        severity=node.requirement.severity,
        verdict=verdict,
        metrics=[metric],
        reason=bad[0].reason if bad else "every metric is satisfied",
        risks=node.requirement.mitigates,
        failing=[found.path for found in bad],
        waiver=cycle.run.waiver if bad else None,
        confidential=node.confidential,
        remediation=node.requirement.remediation,
    )


def _dimensions(findings: list[Finding]) -> dict[str, Verdict]:
    result: dict[str, Verdict] = {}
    for found in findings:
        if result.setdefault(found.dimension, found.verdict) is Verdict.SATISFIED:
            result[found.dimension] = found.verdict
    return result
