"""Reports as OSCAL: Assessment Results, and a Plan of Action and Milestones for what fails.

Interchange only. Ids are derived from names, so the same assessment gives the same document; what OSCAL has no word
for stands in properties of our own namespace.
"""

from __future__ import annotations

from typing import Any

from cabc.document.durations import parse_duration
from cabc.record.types import Verdict
from cabc.report.oscal_terms import NS, frequency, instant, lean, name_uuid, props, rlink, token
from cabc.report.types import FAILING, ActionItem, FindingView, LeafView, ReportView, RiskView

__all__ = ["OSCAL_VERSION", "assessment_results", "plan_of_action"]

OSCAL_VERSION = "1.2.1"

_TOOL = "cabc"
_ROLES = {
    "auditee": "Auditee",
    "auditing-party": "Auditing party",
    "publisher": "Publisher of the conformity status",
    "assessor": "External assessor",
    "certification-body": "Certification body",
}
_LEFT_OUT = {Verdict.NOT_APPLICABLE}
"""Neither state of an OSCAL objective fits; the remarks name what is left out."""


def assessment_results(report: ReportView) -> dict[str, Any]:
    """Return the assessment as OSCAL Assessment Results."""
    findings = [found for found in report.findings if found.verdict not in _LEFT_OUT]
    reviewed = [{"control-id": token(found.requirement)} for found in findings]
    selection: dict[str, Any] = {"include-controls": reviewed} if reviewed else {"include-all": {}}
    left_out = [f"{found.requirement}: {found.verdict.value}" for found in report.findings if found not in findings]
    result = {
        "uuid": name_uuid("result", report.assessment.id),
        "title": f"Assessment {report.assessment.id} of {report.subject.name}",
        "description": report.summary,
        "start": instant(report.assessment.started),
        "end": instant(report.assessment.ended),
        "props": props(status=report.status.status, verdict=report.assessment.verdict, counts=_counts(report)),
        "local-definitions": {
            "components": [_subject(report)],
            "assessment-assets": _assets(report),
            "tasks": [_task(report, found) for found in findings],
        },
        "reviewed-controls": {"control-selections": [selection]},
        "attestations": _attestations(report),
        "assessment-log": {"entries": [_log(report)]},
        "observations": [_observation(report, leaf) for leaf in _observed(report)],
        "risks": _risks(report),
        "findings": [_finding(report, found) for found in findings],
        "remarks": f"Not part of this result: {', '.join(left_out)}" if left_out else None,
    }
    body = {
        "uuid": name_uuid("assessment-results", report.assessment.id),
        "metadata": _metadata(report, f"Assessment results of {report.subject.name}"),
        "import-ap": {
            "href": f"#{_specification_uuid(report)}",
            "remarks": "The conformity specification is the plan.",
        },
        "results": [result],
        "back-matter": {"resources": _resources(report)},
    }
    return {"assessment-results": lean(body)}


def plan_of_action(report: ReportView) -> dict[str, Any] | None:
    """Return what has to be done as an OSCAL plan of action and milestones; None when nothing fails."""
    failing = {found.requirement: found for found in report.problems}
    if not report.actions:
        return None
    touched = {risk for found in failing.values() for risk in _risk_ids(report, found)}
    leaves = [leaf for leaf in _observed(report) if leaf.requirement in failing]
    body = {
        "uuid": name_uuid("plan-of-action", report.assessment.id),
        "metadata": _metadata(report, f"Plan of action for {report.subject.name}"),
        "system-id": {"identifier-type": NS, "id": report.subject.name},
        "local-definitions": {"components": [_subject(report), _tool(report)]},
        "observations": [_observation(report, leaf) for leaf in leaves],
        "risks": [risk for risk in _risks(report) if risk["uuid"] in touched],
        "findings": [_finding(report, found) for found in failing.values()],
        "poam-items": [_item(report, item, failing[item.finding]) for item in report.actions],
        "back-matter": {"resources": _resources(report)},
    }
    return {"plan-of-action-and-milestones": lean(body)}


def _metadata(report: ReportView, title: str) -> dict[str, Any]:
    parties = report.specification.parties
    roles = list(dict.fromkeys(party.role for party in parties))
    return {
        "title": title,
        "last-modified": instant(report.assessment.ended),
        "version": report.assessment.id,
        "oscal-version": OSCAL_VERSION,
        "props": props(
            mode=report.specification.mode,
            specification=f"{report.specification.id} version {report.specification.version}",
            digest=report.specification.digest,
            engine=report.assessment.engine_version,
            reader=report.reader,
        ),
        "roles": [{"id": role, "title": _ROLES.get(role, role)} for role in roles],
        "parties": [
            {"uuid": name_uuid("party", party.id), "type": "organization", "name": party.name} for party in parties
        ],
        "responsible-parties": [
            {
                "role-id": role,
                "party-uuids": [name_uuid("party", party.id) for party in parties if party.role == role],
            }
            for role in roles
        ],
    }


def _subject(report: ReportView) -> dict[str, Any]:
    subject = report.subject
    return {
        "uuid": name_uuid("subject", subject.name),
        "type": "software",
        "title": f"{subject.name} version {subject.version}" if subject.version else subject.name,
        "description": "The audited model.",
        "props": props(
            registered_model=subject.registered_model,
            version=subject.version,
            run_id=subject.run_id,
            digest=subject.digest,
            inference_service=subject.inference_service,
            image_digest=subject.image_digest,
        ),
        "status": {"state": "operational"},
    }


def _tool(report: ReportView) -> dict[str, Any]:
    return {
        "uuid": name_uuid("tool", _TOOL),
        "type": "software",
        "title": _TOOL,
        "description": "The continuous auditor that collected and assessed.",
        "props": props(version=report.assessment.engine_version),
        "status": {"state": "operational"},
    }


def _assets(report: ReportView) -> dict[str, Any]:
    platform = {"uuid": name_uuid("platform", _TOOL), "title": f"{_TOOL} {report.assessment.engine_version}"}
    uses = [{"component-uuid": name_uuid("tool", _TOOL)}]
    return {"components": [_tool(report)], "assessment-platforms": [{**platform, "uses-components": uses}]}


def _task(report: ReportView, found: FindingView) -> dict[str, Any]:
    timing = frequency(found.frequency)
    return {
        "uuid": name_uuid("task", report.specification.id, found.requirement),
        "type": "action",
        "title": f"Assess {found.requirement}",
        "props": props(frequency=found.frequency),
        "timing": {"at-frequency": timing} if timing else None,
    }


def _log(report: ReportView) -> dict[str, Any]:
    return {
        "uuid": name_uuid("log", report.assessment.id),
        "title": "Collected and assessed",
        "description": f"Started by {report.assessment.trigger}.",
        "start": instant(report.assessment.started),
        "end": instant(report.assessment.ended),
        "props": props(collection=report.assessment.collection, complete=str(report.assessment.complete).lower()),
    }


def _attestations(report: ReportView) -> list[dict[str, Any]]:
    return [
        {
            "parts": [
                {
                    "uuid": name_uuid("attestation", report.subject.name, given.id),
                    "name": "attestation",
                    "ns": NS,
                    "title": f"Attestation {given.id} for {given.path}",
                    "props": props(
                        state=given.state,
                        party=given.party,
                        created=instant(given.created),
                        valid_until=instant(given.valid_until),
                    ),
                    "prose": given.statement or "The statement is confidential.",
                }
            ]
        }
        for given in report.attestations
    ]


def _observed(report: ReportView) -> list[LeafView]:
    return [leaf for leaf in report.leaves if leaf.verdict not in _LEFT_OUT]


def _observation(report: ReportView, leaf: LeafView) -> dict[str, Any]:
    collected = leaf.collected or report.assessment.started
    expires = collected + parse_duration(leaf.max_age) if leaf.max_age and leaf.collected else None
    return {
        "uuid": name_uuid("observation", report.assessment.id, leaf.path),
        "title": leaf.path,
        "description": "The details are confidential." if leaf.hidden else leaf.reason or leaf.verdict.value,
        "props": props(
            verdict=leaf.verdict,
            found=leaf.found,
            wanted=leaf.wanted,
            comparison=leaf.comparison,
            unit=leaf.unit,
            source=leaf.source,
            critical=str(leaf.critical).lower(),
            confidential="true" if leaf.confidential else None,
        ),
        "methods": ["EXAMINE" if leaf.source == "attestation" else "TEST"],
        "origins": _origins(),
        "subjects": [{"subject-uuid": name_uuid("subject", report.subject.name), "type": "component"}],
        "relevant-evidence": [
            {
                "href": f"#{name_uuid('evidence', kept.digest)}",
                "description": f"{kept.role}: {kept.origin}",
                "props": props(digest=kept.digest, redacted=str(kept.redacted).lower()),
            }
            for kept in leaf.evidence
        ],
        "collected": instant(collected),
        "expires": instant(expires) if expires else None,
    }


def _finding(report: ReportView, found: FindingView) -> dict[str, Any]:
    passed = found.verdict is Verdict.SATISFIED
    reason = {Verdict.SATISFIED: "pass", Verdict.NOT_SATISFIED: "fail"}.get(found.verdict, "other")
    shown = {leaf.path for leaf in _observed(report)}
    return {
        "uuid": name_uuid("finding", report.subject.name, found.requirement),
        "title": found.name,
        "description": found.reason or found.verdict.value,
        "props": props(
            severity=found.severity, verdict=found.verdict, waiver=found.waiver.id if found.waiver else None
        ),
        "origins": _origins(),
        "target": {
            "type": "objective-id",
            "target-id": token(found.requirement),
            "title": found.requirement,
            "status": {
                "state": "satisfied" if passed else "not-satisfied",
                "reason": reason,
                "remarks": None if reason != "other" else f"The verdict is {found.verdict.value}.",
            },
        },
        "related-observations": [
            {"observation-uuid": name_uuid("observation", report.assessment.id, path)}
            for path in found.leaves
            if path in shown
        ],
        "related-risks": [{"risk-uuid": risk} for risk in _risk_ids(report, found)],
    }


def _risks(report: ReportView) -> list[dict[str, Any]]:
    """Return the specification's risks, and one for each failing requirement that names none."""
    risks = [_risk(report, risk) for risk in report.risks]
    known = {risk.id for risk in report.risks}
    for found in report.problems:
        if not known.intersection(found.risks):
            waived = found.waiver is not None
            risks.append(
                {
                    "uuid": _own_risk(report, found),
                    "title": f"{found.requirement} is not satisfied",
                    "description": found.reason or found.verdict.value,
                    "statement": "The specification names no risk that this requirement mitigates.",
                    "props": props(severity=found.severity),
                    "status": "deviation-approved" if waived else "open",
                    "risk-log": _risk_log(report, found.requirement, [found]),
                }
            )
    return risks


def _risk(report: ReportView, risk: RiskView) -> dict[str, Any]:
    findings = [found for found in report.findings if risk.id in found.risks]
    waived = risk.state == "waived"
    facets = [
        {"name": name, "system": NS, "value": value}
        for name, value in (("likelihood", risk.likelihood), ("impact", risk.impact), ("level", risk.level))
    ]
    return {
        "uuid": name_uuid("risk", report.specification.id, risk.id),
        "title": f"{risk.id}: {risk.statement}",
        "description": risk.statement,
        "statement": f"{risk.statement}. Now: {risk.state}.",
        "props": props(state=risk.state, owner=risk.owner),
        "status": "deviation-approved" if waived else risk.status,
        "characterizations": [{"origin": _origins()[0], "facets": facets}],
        "mitigating-factors": [
            {
                "uuid": name_uuid("mitigation", report.specification.id, risk.id, link.requirement),
                "description": f"{link.requirement}: {link.verdict.value}{', waived' if link.waived else ''}",
            }
            for link in risk.mitigations
        ],
        "deadline": instant(risk.deadline) if risk.deadline else None,
        "risk-log": _risk_log(report, risk.id, findings),
    }


def _risk_log(report: ReportView, risk: str, findings: list[FindingView]) -> dict[str, Any] | None:
    """Return the approved deviations: one entry for each waiver in force."""
    waivers = {found.waiver.id: found.waiver for found in findings if found.waiver}
    return (
        {
            "entries": [
                {
                    "uuid": name_uuid("waiver", report.subject.name, risk, waiver.id),
                    "title": f"Waiver {waiver.id} for {waiver.requirement}",
                    "description": waiver.reason or "The reason is confidential.",
                    "start": instant(waiver.created),
                    "end": instant(waiver.expires),
                    "props": props(type="dr-approved", approver=waiver.approver),
                    "status-change": "deviation-approved",
                }
                for waiver in waivers.values()
            ]
        }
        if waivers
        else None
    )


def _item(report: ReportView, item: ActionItem, found: FindingView) -> dict[str, Any]:
    shown = {leaf.path for leaf in _observed(report)}
    return {
        "uuid": name_uuid("item", report.subject.name, item.finding),
        "title": f"{found.name}: {found.verdict.value}",
        "description": item.action,
        "props": props(severity=item.severity, due=instant(item.due) if item.due else None, owner=item.owner),
        "related-findings": [{"finding-uuid": name_uuid("finding", report.subject.name, item.finding)}],
        "related-observations": [
            {"observation-uuid": name_uuid("observation", report.assessment.id, path)}
            for path in found.leaves
            if path in shown
        ],
        "related-risks": [{"risk-uuid": risk} for risk in _risk_ids(report, found)],
    }


def _risk_ids(report: ReportView, found: FindingView) -> list[str]:
    known = {risk.id for risk in report.risks}
    named = [name_uuid("risk", report.specification.id, risk) for risk in found.risks if risk in known]
    return named or ([_own_risk(report, found)] if found.verdict in FAILING else [])


def _own_risk(report: ReportView, found: FindingView) -> str:
    return name_uuid("risk-of", report.specification.id, found.requirement)


def _resources(report: ReportView) -> list[dict[str, Any]]:
    specification = report.specification
    resources = {
        _specification_uuid(report): {
            "title": f"{specification.id} version {specification.version}",
            "description": "The conformity specification.",
            "rlinks": [rlink("specification.yaml", "application/yaml", specification.digest)],
        }
    }
    for leaf in _observed(report):
        for kept in leaf.evidence:
            resources[name_uuid("evidence", kept.digest)] = {
                "title": f"Evidence for {leaf.path}",
                "description": kept.origin,
                "rlinks": [rlink(f"evidence/{kept.digest.partition(':')[2]}", kept.media_type, kept.digest)],
            }
    return [{"uuid": name, **resource} for name, resource in resources.items()]


def _specification_uuid(report: ReportView) -> str:
    return name_uuid("specification", report.specification.digest)


def _origins() -> list[dict[str, Any]]:
    return [{"actors": [{"type": "tool", "actor-uuid": name_uuid("tool", _TOOL)}]}]


def _counts(report: ReportView) -> str:
    return ", ".join(f"{count} {verdict.value}" for verdict, count in report.counts.items())
