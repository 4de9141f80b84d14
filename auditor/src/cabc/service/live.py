"""What is known now: subjects with their status, and the specification as a tree with its latest verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from cabc.document.base import Instant, Model
from cabc.document.loaded import Leaf, LoadedDocument, RequirementNode
from cabc.document.model import Severity
from cabc.engine.rollup import combine
from cabc.record.types import Assessment, Status, StatusRecord, Verdict
from cabc.report.types import FAILING, FindingView, LeafView, Line, Reader, Text, WaiverView
from cabc.report.view import view
from cabc.service.state import State

__all__ = ["Live", "Node", "SubjectSummary", "live", "summaries", "summary", "tree"]

LOOK_BACK = 20
"""Assessments that are looked at for verdicts that the latest one did not renew."""


class SubjectSummary(Model):
    """A subject on the board."""

    name: Line
    status: Status
    since: Instant | None = None
    mode: str | None = None
    version: Line | None = None
    """Model version that was audited last."""
    verdict: Verdict | None = None
    """Of the latest assessment."""
    assessment: Line | None = None
    assessed: Instant | None = None
    counts: dict[Verdict, int] = {}
    problem: Line | None = None
    """Why its document cannot be used as it is now."""

    @property
    def failing(self) -> bool:
        """Whether somebody has to look at it."""
        return self.status in {Status.CONDITIONAL, Status.SUSPENDED, Status.REVOKED} or self.verdict in FAILING


class Node(Model):
    """An element of the specification with its latest verdict."""

    level: Literal["dimension", "requirement", "metric", "measurement"]
    path: Line
    name: Line
    confidential: bool
    verdict: Verdict
    comment: Text | None = None
    severity: Severity | None = None
    frequency: Line | None = None
    assessment: Line | None = None
    """The assessment that the verdict comes from."""
    finding: FindingView | None = None
    leaf: LeafView | None = None
    children: list[Node] = []


@dataclass(frozen=True)
class Live:
    """The latest verdict of every requirement and leaf, as one reader may see them."""

    document: LoadedDocument
    findings: dict[str, FindingView] = field(default_factory=dict)
    leaves: dict[str, LeafView] = field(default_factory=dict)
    metrics: dict[str, Verdict] = field(default_factory=dict)
    waivers: list[WaiverView] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    """Requirement to the assessment that its verdict comes from."""
    latest: Assessment | None = None


def live(state: State, subject: str, reader: Reader) -> Live | None:
    """Return what is known of a subject; None when it has neither a document nor an assessment.

    A run may cover only the requirements that were due; for the others the last one that covered them counts.
    """
    recent = state.record.assessments(subject, limit=LOOK_BACK)
    document = state.documents.current(subject)
    if document is None and recent:
        document = state.documents.at(recent[0].specification)
    if document is None:
        return None
    known = Live(document, latest=recent[0] if recent else None)
    wanted = {node.path for node in document.requirements}
    for assessment in recent:
        if not wanted - known.sources.keys():
            break
        _add(state, known, assessment, reader)
        if assessment.complete:
            break
    return known


def _add(state: State, known: Live, assessment: Assessment, reader: Reader) -> None:
    shown = view(state.record, assessment.id, reader=reader, document=state.documents.at(assessment.specification))
    if not known.sources:
        known.waivers.extend(shown.waivers)
    fresh = {
        found.requirement: found
        for found in shown.findings
        if found.requirement not in known.sources
        and (found.verdict is not Verdict.NOT_EVALUATED or assessment.complete)
    }
    known.findings.update(fresh)
    known.sources.update(dict.fromkeys(fresh, assessment.id))
    for finding in state.record.findings(assessment.id):
        if finding.requirement in fresh:
            known.metrics.update((metric.path, metric.verdict) for metric in finding.metrics)
    known.leaves.update((leaf.path, leaf) for leaf in shown.leaves if leaf.requirement in fresh)


def summaries(state: State, subjects: Iterable[str]) -> list[SubjectSummary]:
    """Return subjects for the board: what fails first."""
    found = [summary(state, subject) for subject in subjects]
    return sorted(found, key=lambda item: (not item.failing, item.name))


def summary(state: State, subject: str) -> SubjectSummary:
    """Return one subject for the board."""
    status: StatusRecord | None = state.record.status(subject)
    latest = next(iter(state.record.assessments(subject, limit=1)), None)
    document = state.documents.current(subject)
    mode = latest.mode if latest else document.specification.mode if document else None
    return SubjectSummary(
        name=subject,
        status=status.status if status else Status.NONE,
        since=status.since if status else None,
        mode=mode,
        version=latest.subject.version if latest else None,
        verdict=latest.verdict if latest else None,
        assessment=latest.id if latest else None,
        assessed=latest.ended if latest else None,
        counts={verdict: count for verdict, count in latest.counts.items() if count} if latest else {},
        problem=state.documents.problem(subject),
    )


def tree(known: Live, *, guarded: bool) -> list[Node]:
    """Return the specification with verdicts, dimensions first."""
    groups: dict[str, list[RequirementNode]] = {}
    for node in known.document.requirements:
        groups.setdefault(node.path.rpartition("/")[0], []).append(node)
    return [_group(path, nodes, known, guarded=guarded) for path, nodes in groups.items()]


def _group(path: str, nodes: list[RequirementNode], known: Live, *, guarded: bool) -> Node:
    dimension = nodes[0].dimension
    secret = known.document.specification.confidential or dimension.confidential
    children = [_requirement(node, known, guarded=guarded) for node in nodes]
    return Node(
        level="dimension",
        path=path,
        name=path if secret and guarded else dimension.name or path,
        comment=None if secret and guarded else dimension.comment,
        confidential=secret,
        verdict=combine(child.verdict for child in children),
        children=children,
    )


def _requirement(node: RequirementNode, known: Live, *, guarded: bool) -> Node:
    finding = known.findings.get(node.path)
    hidden = node.confidential and guarded
    leaves: dict[str, list[Node]] = {}
    for leaf in node.leaves:
        seen = known.leaves.get(leaf.path)
        leaves.setdefault(leaf.path.rpartition("/")[0], []).append(
            Node(
                level="measurement",
                path=leaf.path,
                name=leaf.path.rpartition("/")[2] if leaf.confidential and guarded else _name(leaf),
                confidential=leaf.confidential,
                comment=None if leaf.confidential and guarded else leaf.element.comment,
                verdict=seen.verdict if seen else Verdict.NOT_EVALUATED,
                frequency=leaf.frequency,
                leaf=seen,
            )
        )
    return Node(
        level="requirement",
        path=node.path,
        name=node.requirement.id if hidden else node.requirement.name or node.requirement.id,
        comment=None if hidden else node.requirement.comment,
        confidential=node.confidential,
        severity=node.requirement.severity,
        frequency=node.frequency,
        verdict=finding.verdict if finding else Verdict.NOT_EVALUATED,
        assessment=known.sources.get(node.path),
        finding=finding,
        children=[_metric(path, children, known) for path, children in leaves.items()],
    )


def _metric(path: str, children: list[Node], known: Live) -> Node:
    return Node(
        level="metric",
        path=path,
        name=path.rpartition("/")[2],
        confidential=all(child.confidential for child in children),
        verdict=known.metrics.get(path) or combine(child.verdict for child in children),
        children=children,
    )


def _name(leaf: Leaf) -> str:
    return leaf.element.name or leaf.element.id
