"""From a collection to findings, an assessment and a status: a pure function, so that anybody can do it again."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cabc.document.loaded import Leaf, LoadedDocument, RequirementNode
from cabc.engine.observe import Inputs, observe
from cabc.engine.plan import inapplicable
from cabc.engine.rollup import FAILING, combine, metric_verdict
from cabc.engine.status import Outcome, elapse, outcome, step
from cabc.interfaces.assessor import Seen
from cabc.interfaces.base import InterfacePlugin
from cabc.interfaces.registry import plugin
from cabc.record.types import (
    Assessment,
    Attestation,
    Collection,
    Finding,
    MetricOutcome,
    Observation,
    StatusRecord,
    Verdict,
    Waiver,
)

__all__ = ["Assessed", "Context", "assess", "assessment_id", "keys_of", "latest_attestations", "waiver_for"]


@dataclass(frozen=True)
class Context:
    """What an assessment needs besides the document, the collection and its evidence."""

    now: dt.datetime
    waivers: Sequence[Waiver] = ()
    attestations: Sequence[Attestation] = ()
    baseline: Mapping[str, object] = field(default_factory=dict)
    """Values of the pinned assessment by leaf."""
    previous: StatusRecord | None = None
    """The status so far."""
    last: dt.datetime | None = None
    """When the assessment before ended."""
    earlier: Sequence[Outcome] = ()
    """Outcomes of the assessments before, latest first, back to where each requirement was judged `down.of` times."""
    seen: Mapping[str, Seen] = field(default_factory=dict)
    """Signed results that were taken over before, by leaf."""
    results: Mapping[str, Verdict] = field(default_factory=dict)
    """Verdicts of external assessors that are assumed, in tests of a document."""
    plugin: Callable[[str], Any] = plugin
    """Gives the class of an interface."""


@dataclass(frozen=True)
class Assessed:
    """One assessment with everything that belongs to it."""

    assessment: Assessment
    observations: list[Observation]
    findings: list[Finding]
    statuses: list[StatusRecord]
    """Steps of the status machine, none to two."""


def assessment_id(collection: str) -> str:
    """Return the id of a collection's assessment: assessing again gives the same one."""
    return f"a{collection.removeprefix('c')}"


def assess(
    document: LoadedDocument, collection: Collection, body: Callable[[str], bytes | None], context: Context
) -> Assessed:
    """Judge a collection by its document."""
    specification = document.specification
    name = assessment_id(collection.id)
    due = frozenset(collection.trigger.requirements) or None
    inputs = Inputs(
        assessment=name,
        subject=collection.subject,
        now=context.now,
        body=body,
        plugin=_instances(context.plugin),
        attestations=latest_attestations(context.attestations, context.now),
        baseline=context.baseline,
        cached=_cached(document, due),
        keys=lambda leaf: keys_of(document, leaf),
        seen=context.seen,
        results=context.results,
    )
    observations = _observations(document, collection, inputs)
    findings = _findings(document, observations, inputs, context.waivers)
    dimensions: dict[str, list[Verdict]] = {each.id: [] for each in specification.dimensions}
    for finding in findings:
        dimensions.setdefault(finding.dimension, []).append(finding.verdict)
    verdicts = {id_: combine(found) for id_, found in dimensions.items()}
    assessment = Assessment(
        id=name,
        collection=collection.id,
        subject=collection.subject,
        specification=document.digest,
        specification_id=specification.id,
        specification_version=specification.version,
        mode=specification.mode,
        trigger=collection.trigger,
        started=collection.started,
        ended=context.now,
        verdict=combine(verdicts.values()),
        complete=due is None,
        dimensions=verdicts,
        counts=dict(Counter(each.verdict for each in observations.values())),
        engine_version=collection.engine_version,
    )
    statuses = _statuses(document, assessment, findings, due, context)
    return Assessed(assessment, list(observations.values()), findings, statuses)


def keys_of(document: LoadedDocument, leaf: Leaf) -> list[str]:
    """Return the keys of the party that assesses a leaf, as the document that holds the leaf names it."""
    holder = _holder(document, leaf.specification) or document
    return [key for party in holder.specification.parties if party.id == leaf.assessor for key in party.public_keys]


def _holder(document: LoadedDocument, digest: str) -> LoadedDocument | None:
    if document.digest == digest:
        return document
    below = (_holder(each, digest) for each in document.nested.values())
    return next((each for each in below if each is not None), None)


def _instances(classes: Callable[[str], Any]) -> Callable[[str], InterfacePlugin[Any, Any]]:
    """Give one instance per kind, made when it is first needed; extraction holds nothing that must be closed."""
    made: dict[str, InterfacePlugin[Any, Any]] = {}

    def instance(kind: str) -> InterfacePlugin[Any, Any]:
        if kind not in made:
            made[kind] = classes(kind)()
        return made[kind]

    return instance


def latest_attestations(attestations: Iterable[Attestation], now: dt.datetime) -> dict[str, Attestation]:
    """Return the latest attestation of each leaf; later ones replace earlier ones, expired or not."""
    made = sorted((each for each in attestations if each.created <= now), key=lambda each: each.created)
    return {each.path: each for each in made}


def waiver_for(requirement: str, waivers: Iterable[Waiver], now: dt.datetime) -> Waiver | None:
    """Return the waiver in force for a requirement, its own or one of what it is part of; the one that ends last."""
    own = [
        each
        for each in waivers
        if each.created <= now < each.expires
        and (requirement == each.requirement or requirement.startswith(f"{each.requirement}/"))
    ]
    return max(own, key=lambda each: each.expires, default=None)


def _cached(document: LoadedDocument, due: frozenset[str] | None) -> frozenset[str]:
    if due is None:
        return frozenset()
    fresh = {leaf.path for node in document.requirements if node.path in due for leaf in node.leaves}
    return frozenset(leaf.path for leaf in document.leaves() if leaf.path not in fresh)


def _observations(document: LoadedDocument, collection: Collection, inputs: Inputs) -> dict[str, Observation]:
    had = {each.path: each for each in collection.leaves}
    left_out = inapplicable(document, collection.subject)
    found: dict[str, Observation] = {}
    for node in document.requirements:
        if node.nested:
            continue  # its leaves are judged under the nested document's own requirements
        for leaf in node.leaves:
            if node.path in left_out:
                found[leaf.path] = Observation(
                    assessment=inputs.assessment,
                    path=leaf.path,
                    requirement=node.path,
                    verdict=Verdict.NOT_APPLICABLE,
                    reason="the requirement does not apply to this subject",
                    confidential=leaf.confidential,
                )
            else:
                found[leaf.path] = observe(leaf, node.path, had.get(leaf.path), inputs)
    return found


def _findings(
    document: LoadedDocument, observations: Mapping[str, Observation], inputs: Inputs, waivers: Sequence[Waiver]
) -> list[Finding]:
    left_out = inapplicable(document, inputs.subject)
    found: dict[str, Finding] = {}
    # What holds a document comes before its nested requirements and is judged by them.
    for node in reversed(document.requirements):
        outcomes = [] if node.nested else _metrics(node, observations)
        nested = [found[path] for path in node.nested if path in found]
        verdict = _requirement_verdict(node, observations, outcomes, nested, applies=node.path not in left_out)
        failing = _failing(node, outcomes, nested, observations) if verdict in FAILING else []
        waiver = waiver_for(node.path, waivers, inputs.now) if verdict in FAILING else None
        if waiver is None and verdict in FAILING and nested:
            waiver = _waiver_below(nested, waivers, inputs.now)
        found[node.path] = Finding(
            assessment=inputs.assessment,
            requirement=node.path,
            dimension=node.path.partition("/")[0],
            severity=node.requirement.severity,
            verdict=verdict,
            metrics=outcomes,
            reason=_reason(verdict, failing, observations),
            risks=list(node.requirement.mitigates),
            failing=failing,
            waiver=waiver.id if waiver else None,
            confidential=node.confidential,
            remediation=node.requirement.remediation,
        )
    return [found[node.path] for node in document.requirements]


def _waiver_below(nested: Sequence[Finding], waivers: Sequence[Waiver], now: dt.datetime) -> Waiver | None:
    """Return the waiver that ends first when every failure below has one."""
    below = [waiver_for(each.requirement, waivers, now) for each in nested if each.verdict in FAILING]
    known = [each for each in below if each is not None]
    return min(known, key=lambda each: each.expires, default=None) if len(known) == len(below) else None


def _metrics(node: RequirementNode, observations: Mapping[str, Observation]) -> list[MetricOutcome]:
    by_metric: dict[str, list[str]] = {metric.id: [] for metric in node.requirement.metrics}
    for leaf in node.leaves:
        own = leaf.path[len(node.path) + 1 :].partition("/")[0]
        if own in by_metric:
            by_metric[own].append(leaf.path)
    outcomes = []
    for metric in node.requirement.metrics:
        path, leaves = f"{node.path}/{metric.id}", by_metric[metric.id]
        if leaves == [path]:  # an external assessor answers for the whole metric
            verdict = observations[path].verdict
        else:
            verdict = metric_verdict(metric, {leaf[len(path) + 1 :]: observations[leaf].verdict for leaf in leaves})
        outcomes.append(MetricOutcome(path=path, verdict=verdict, leaves=leaves))
    return outcomes


def _requirement_verdict(
    node: RequirementNode,
    observations: Mapping[str, Observation],
    outcomes: Sequence[MetricOutcome],
    nested: Sequence[Finding],
    *,
    applies: bool,
) -> Verdict:
    if not applies:
        return Verdict.NOT_APPLICABLE
    if node.nested:
        return combine(each.verdict for each in nested)
    if [leaf.path for leaf in node.leaves] == [node.path]:  # an external assessor answers for the requirement
        return observations[node.path].verdict
    return combine(each.verdict for each in outcomes)


def _failing(
    node: RequirementNode,
    outcomes: Sequence[MetricOutcome],
    nested: Sequence[Finding],
    observations: Mapping[str, Observation],
) -> list[str]:
    """Return the leaves that are the cause: those that count, or all where nothing that counts is satisfied."""
    if nested:
        return [leaf for each in nested for leaf in each.failing]
    if node.path in observations:
        return [node.path]
    leaves = [leaf for each in outcomes if each.verdict in FAILING for leaf in each.leaves]
    failing = [leaf for leaf in leaves if observations[leaf].verdict in FAILING]
    return [leaf for leaf in failing if observations[leaf].critical] or failing


def _reason(verdict: Verdict, failing: Sequence[str], observations: Mapping[str, Observation]) -> str:
    if verdict is Verdict.SATISFIED:
        return "all that is required is satisfied"
    if verdict is Verdict.NOT_APPLICABLE:
        return "does not apply to this subject"
    if not failing:
        return "nothing was evaluated"
    first = observations[failing[0]]
    top = next((observations[leaf] for leaf in failing if observations[leaf].verdict is verdict), first)
    more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
    if top.confidential:
        return f"{top.path} is {top.verdict.value}{more}"
    return f"{top.path}: {top.reason}{more}"


def _statuses(
    document: LoadedDocument,
    assessment: Assessment,
    findings: Sequence[Finding],
    due: frozenset[str] | None,
    context: Context,
) -> list[StatusRecord]:
    policy = document.specification.status_policy
    previous = context.previous
    elapsed = elapse(policy, previous, context.last, context.now)
    current = outcome(findings, policy, due)
    stepped = step(assessment, policy, current, context.earlier, elapsed or previous)
    return [each for each in (elapsed, stepped) if each is not None]
