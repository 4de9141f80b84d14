"""Requirements, waivers, risks and actions as a reader may see them."""

from __future__ import annotations

import datetime as dt

from cabc.document.model import Level, Risk
from cabc.record.types import Finding, Verdict
from cabc.report.context import Context, is_failing
from cabc.report.types import (
    FAILING,
    ActionItem,
    AttestationView,
    DimensionView,
    FindingView,
    Mitigation,
    RiskView,
    WaiverView,
)

__all__ = ["action_items", "attestation_views", "dimension_views", "finding_views", "risk_views", "waiver_views"]

_SEVERITIES = ["critical", "high", "medium", "low", "info"]
_LEVELS: dict[Level, int] = {"low": 1, "medium": 2, "high": 3}
_HIGH, _MEDIUM = 6, 3


def finding_views(context: Context) -> list[FindingView]:
    """Return every requirement's outcome; failing ones first, the most severe before others."""
    failing_since = _failing_since(context)
    ordered = sorted(context.findings, key=lambda found: (not is_failing(found), _SEVERITIES.index(found.severity)))
    return [_finding_view(context, found, failing_since.get(found.requirement)) for found in ordered]


def waiver_views(context: Context) -> list[WaiverView]:
    """Return the subject's waivers that touch a requirement of this document, the last to expire first."""
    now = context.assessment.ended
    mine = [each for each in context.waivers.values() if each.requirement in context.nodes and each.created <= now]
    views = [context.waiver_view(waiver, now) for waiver in mine]
    return sorted(views, key=lambda view: view.expires, reverse=True)


def attestation_views(context: Context) -> list[AttestationView]:
    """Return the attestations that touch a leaf of this document, the last to expire first."""
    now = context.assessment.ended
    given = context.record.attestations(context.assessment.subject.name)
    mine = [each for each in given if each.path in context.leaves and each.created <= now]
    views = [context.attestation_view(each, now) for each in mine]
    return sorted(views, key=lambda view: view.valid_until, reverse=True)


def risk_views(context: Context, findings: list[FindingView]) -> list[RiskView]:
    """Return every risk with the requirements that reduce it and what they say now; open ones first."""
    by_risk: dict[str, list[Mitigation]] = {}
    for found in findings:
        for risk in found.risks:
            waived = found.waiver is not None
            link = Mitigation(requirement=found.requirement, verdict=found.verdict, waived=waived)
            by_risk.setdefault(risk, []).append(link)
    views = [_risk_view(risk, by_risk.get(risk.id, [])) for risk in _risks(context)]
    order = ["not reduced", "waived", "not assessed", "not covered", "reduced"]
    levels = ["high", "medium", "low"]
    return sorted(views, key=lambda view: (order.index(view.state), levels.index(view.level)))


def action_items(context: Context, findings: list[FindingView]) -> list[ActionItem]:
    """Return what has to be done: one item for each requirement that fails, due when its risks or its waiver say."""
    risks = {risk.id: risk for risk in _risks(context)}
    items = []
    for found in findings:
        if found.verdict not in FAILING:
            continue
        mine = [risks[risk] for risk in found.risks if risk in risks]
        deadlines = [risk.deadline for risk in mine if risk.deadline]
        if found.waiver and found.waiver.state == "in force":
            deadlines.append(found.waiver.expires)
        owners = dict.fromkeys(risk.owner for risk in mine if risk.owner)
        items.append(
            ActionItem(
                finding=found.requirement,
                severity=found.severity,
                action=found.remediation or _default_action(found.verdict),
                due=min(deadlines, default=None),
                owner=", ".join(owners) or None,
            )
        )
    return items


def dimension_views(context: Context, findings: list[FindingView]) -> list[DimensionView]:
    """Return each dimension with its verdict and how many of its requirements are satisfied."""
    names = {node.path.split("/")[0]: node.dimension for node in reversed(context.nodes.values())}
    whole = context.document.specification.confidential
    views = []
    for key, verdict in context.assessment.dimensions.items():
        mine = [found for found in findings if found.requirement.split("/")[0] == key.split("/")[0]]
        dimension = names.get(key)
        hidden = dimension is None or ((dimension.confidential or whole) and context.guarded)
        views.append(
            DimensionView(
                id=key,
                name=key if hidden or dimension is None else dimension.name or dimension.id,
                verdict=verdict,
                satisfied=sum(found.verdict is Verdict.SATISFIED for found in mine),
                requirements=len(mine),
            )
        )
    return views


def _finding_view(context: Context, found: Finding, since: tuple[dt.datetime, bool] | None) -> FindingView:
    node = context.nodes.get(found.requirement)
    hidden = context.hides_requirement(found.requirement) or (found.confidential and context.guarded)
    known = None if hidden or node is None else node.requirement
    waiver = context.waivers.get(found.waiver) if found.waiver else None
    return FindingView(
        requirement=found.requirement,
        name=(known.name if known else None) or found.requirement.rsplit("/", 1)[-1],
        dimension=found.dimension,
        severity=found.severity,
        verdict=found.verdict,
        hidden=hidden,
        reason=_guarded_reason(context, found) if hidden or context.hides_reason(found.requirement) else found.reason,
        comment=known.comment if known else None,
        risks=found.risks,
        leaves=[leaf.path for leaf in node.leaves] if node else [],
        failing=found.failing,
        waiver=context.waiver_view(waiver, context.assessment.ended) if waiver else None,
        remediation=None if hidden else found.remediation,
        frequency=node.frequency if node else None,
        failing_since=since[0] if since else None,
        failing_longer=since[1] if since else False,
    )


def _guarded_reason(context: Context, found: Finding) -> str:
    """Return why a requirement fails from the leaves that the reader may see, and how many others there are."""
    failing = [each for each in context.observations if each.path in found.failing]
    open_ = [each for each in failing if not (context.hides_leaf(each.path) or each.confidential)]
    count = len(found.failing) - len(open_)
    rest = f"{count} confidential measurement{' is' if count == 1 else 's are'} not satisfied" if count else ""
    if not open_:
        return rest or "details are confidential"
    more = f" (and {len(open_) - 1} more)" if len(open_) > 1 else ""
    return "; ".join(part for part in (f"{open_[0].path}: {open_[0].reason}{more}", rest) if part)


def _failing_since(context: Context) -> dict[str, tuple[dt.datetime, bool]]:
    """Return since when each failing requirement fails without a pass in between, and whether it may be longer."""
    since = {found.requirement: context.assessment.ended for found in context.findings if is_failing(found)}
    open_ones = set(since)
    for assessment in context.earlier:
        if not open_ones:
            break
        verdicts = {found.requirement: found.verdict for found in context.record.findings(assessment.id)}
        for path in list(open_ones):
            verdict = verdicts.get(path)
            if verdict in FAILING:
                since[path] = assessment.ended
            else:
                open_ones.discard(path)
    return {path: (at, path in open_ones and len(context.earlier) > 0) for path, at in since.items()}


def _risks(context: Context) -> list[Risk]:
    """Return the document's risks and those of its nested documents, each id once."""
    risks: dict[str, Risk] = {}
    for document in [context.document, *context.document.nested.values()]:
        for risk in document.specification.risks:
            risks.setdefault(risk.id, risk)
    return list(risks.values())


def _risk_view(risk: Risk, mitigations: list[Mitigation]) -> RiskView:
    score = _LEVELS[risk.likelihood] * _LEVELS[risk.impact]
    failing = [link for link in mitigations if link.verdict in FAILING]
    state = "reduced"
    if not mitigations:
        state = "not covered"
    elif any(not link.waived for link in failing):
        state = "not reduced"
    elif failing:
        state = "waived"
    elif not any(link.verdict is Verdict.SATISFIED for link in mitigations):
        state = "not assessed"
    return RiskView.model_validate(
        {
            "id": risk.id,
            "statement": risk.statement,
            "likelihood": risk.likelihood,
            "impact": risk.impact,
            "level": "high" if score >= _HIGH else "medium" if score >= _MEDIUM else "low",
            "status": risk.status,
            "state": state,
            "owner": risk.owner,
            "deadline": risk.deadline,
            "mitigations": mitigations,
        }
    )


def _default_action(verdict: Verdict) -> str:
    return {
        Verdict.ERROR: "Make the measurement work again: no value means not satisfied.",
        Verdict.NEEDS_REVIEW: "Have the responsible party answer with `cabc attest`.",
    }.get(verdict, "Bring the measured value within its target, then assess again.")
