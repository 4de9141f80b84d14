"""Reports as OSCAL: Assessment Results, and a Plan of Action and Milestones for what fails.

Interchange only. Ids are derived from names, so the same assessment gives the same document; what OSCAL has no word
for stands in properties of our own namespace.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

from cabc.document.durations import parse_duration
from cabc.record.types import Verdict
from cabc.report.status import NAMESPACE
from cabc.report.types import FAILING, ActionItem, FindingView, LeafView, ReportView, RiskView

__all__ = ["NS", "OSCAL_VERSION", "assessment_results", "frequency", "plan_of_action"]

OSCAL_VERSION = "1.2.1"
NS = "urn:cabc:oscal"
"""Namespace of our properties."""

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
    reviewed = [{"control-id": _token(found.requirement)} for found in findings]
    selection: dict[str, Any] = {"include-controls": reviewed} if reviewed else {"include-all": {}}
    left_out = [f"{found.requirement}: {found.verdict.value}" for found in report.findings if found not in findings]
    result = {
        "uuid": _uuid("result", report.assessment.id),
        "title": f"Assessment {report.assessment.id} of {report.subject.name}",
        "description": report.summary,
        "start": _instant(report.assessment.started),
        "end": _instant(report.assessment.ended),
        "props": _props(status=report.status.status, verdict=report.assessment.verdict, counts=_counts(report)),
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
        "uuid": _uuid("assessment-results", report.assessment.id),
        "metadata": _metadata(report, f"Assessment results of {report.subject.name}"),
        "import-ap": {
            "href": f"#{_specification_uuid(report)}",
            "remarks": "The conformity specification is the plan.",
        },
        "results": [result],
        "back-matter": {"resources": _resources(report)},
    }
    return {"assessment-results": _lean(body)}


def plan_of_action(report: ReportView) -> dict[str, Any] | None:
    """Return what has to be done as an OSCAL plan of action and milestones; None when nothing fails."""
    failing = {found.requirement: found for found in report.problems}
    if not report.actions:
        return None
    touched = {risk for found in failing.values() for risk in _risk_ids(report, found)}
    leaves = [leaf for leaf in _observed(report) if leaf.requirement in failing]
    body = {
        "uuid": _uuid("plan-of-action", report.assessment.id),
        "metadata": _metadata(report, f"Plan of action for {report.subject.name}"),
        "system-id": {"identifier-type": NS, "id": report.subject.name},
        "local-definitions": {"components": [_subject(report), _tool(report)]},
        "observations": [_observation(report, leaf) for leaf in leaves],
        "risks": [risk for risk in _risks(report) if risk["uuid"] in touched],
        "findings": [_finding(report, found) for found in failing.values()],
        "poam-items": [_item(report, item, failing[item.finding]) for item in report.actions],
        "back-matter": {"resources": _resources(report)},
    }
    return {"plan-of-action-and-milestones": _lean(body)}


def frequency(text: str | None) -> dict[str, Any] | None:
    """Return an ISO 8601 duration in OSCAL's units, which know no weeks; None for cron, `on-event` and fractions."""
    try:
        seconds = parse_duration(text or "").total_seconds()
    except ValueError:
        return None
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
        if seconds % size == 0:
            return {"period": int(seconds // size), "unit": unit}
    return None


def _metadata(report: ReportView, title: str) -> dict[str, Any]:
    parties = report.specification.parties
    roles = list(dict.fromkeys(party.role for party in parties))
    return {
        "title": title,
        "last-modified": _instant(report.assessment.ended),
        "version": report.assessment.id,
        "oscal-version": OSCAL_VERSION,
        "props": _props(
            mode=report.specification.mode,
            specification=f"{report.specification.id} version {report.specification.version}",
            digest=report.specification.digest,
            engine=report.assessment.engine_version,
            reader=report.reader,
        ),
        "roles": [{"id": role, "title": _ROLES.get(role, role)} for role in roles],
        "parties": [
            {"uuid": _uuid("party", party.id), "type": "organization", "name": party.name} for party in parties
        ],
        "responsible-parties": [
            {
                "role-id": role,
                "party-uuids": [_uuid("party", party.id) for party in parties if party.role == role],
            }
            for role in roles
        ],
    }


def _subject(report: ReportView) -> dict[str, Any]:
    subject = report.subject
    return {
        "uuid": _uuid("subject", subject.name),
        "type": "software",
        "title": f"{subject.name} version {subject.version}" if subject.version else subject.name,
        "description": "The audited model.",
        "props": _props(
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
        "uuid": _uuid("tool", _TOOL),
        "type": "software",
        "title": _TOOL,
        "description": "The continuous auditor that collected and assessed.",
        "props": _props(version=report.assessment.engine_version),
        "status": {"state": "operational"},
    }


def _assets(report: ReportView) -> dict[str, Any]:
    platform = {"uuid": _uuid("platform", _TOOL), "title": f"{_TOOL} {report.assessment.engine_version}"}
    uses = [{"component-uuid": _uuid("tool", _TOOL)}]
    return {"components": [_tool(report)], "assessment-platforms": [{**platform, "uses-components": uses}]}


def _task(report: ReportView, found: FindingView) -> dict[str, Any]:
    timing = frequency(found.frequency)
    return {
        "uuid": _uuid("task", report.specification.id, found.requirement),
        "type": "action",
        "title": f"Assess {found.requirement}",
        "props": _props(frequency=found.frequency),
        "timing": {"at-frequency": timing} if timing else None,
    }


def _log(report: ReportView) -> dict[str, Any]:
    return {
        "uuid": _uuid("log", report.assessment.id),
        "title": "Collected and assessed",
        "description": f"Started by {report.assessment.trigger}.",
        "start": _instant(report.assessment.started),
        "end": _instant(report.assessment.ended),
        "props": _props(collection=report.assessment.collection, complete=str(report.assessment.complete).lower()),
    }


def _attestations(report: ReportView) -> list[dict[str, Any]]:
    return [
        {
            "parts": [
                {
                    "uuid": _uuid("attestation", report.subject.name, given.id),
                    "name": "attestation",
                    "ns": NS,
                    "title": f"Attestation {given.id} for {given.path}",
                    "props": _props(
                        state=given.state,
                        party=given.party,
                        created=_instant(given.created),
                        valid_until=_instant(given.valid_until),
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
        "uuid": _uuid("observation", report.assessment.id, leaf.path),
        "title": leaf.path,
        "description": "The details are confidential." if leaf.hidden else leaf.reason or leaf.verdict.value,
        "props": _props(
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
        "subjects": [{"subject-uuid": _uuid("subject", report.subject.name), "type": "component"}],
        "relevant-evidence": [
            {
                "href": f"#{_uuid('evidence', kept.digest)}",
                "description": f"{kept.role}: {kept.origin}",
                "props": _props(digest=kept.digest, redacted=str(kept.redacted).lower()),
            }
            for kept in leaf.evidence
        ],
        "collected": _instant(collected),
        "expires": _instant(expires) if expires else None,
    }


def _finding(report: ReportView, found: FindingView) -> dict[str, Any]:
    passed = found.verdict is Verdict.SATISFIED
    reason = {Verdict.SATISFIED: "pass", Verdict.NOT_SATISFIED: "fail"}.get(found.verdict, "other")
    shown = {leaf.path for leaf in _observed(report)}
    return {
        "uuid": _uuid("finding", report.subject.name, found.requirement),
        "title": found.name,
        "description": found.reason or found.verdict.value,
        "props": _props(
            severity=found.severity, verdict=found.verdict, waiver=found.waiver.id if found.waiver else None
        ),
        "origins": _origins(),
        "target": {
            "type": "objective-id",
            "target-id": _token(found.requirement),
            "title": found.requirement,
            "status": {
                "state": "satisfied" if passed else "not-satisfied",
                "reason": reason,
                "remarks": None if reason != "other" else f"The verdict is {found.verdict.value}.",
            },
        },
        "related-observations": [
            {"observation-uuid": _uuid("observation", report.assessment.id, path)}
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
                    "props": _props(severity=found.severity),
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
        "uuid": _uuid("risk", report.specification.id, risk.id),
        "title": f"{risk.id}: {risk.statement}",
        "description": risk.statement,
        "statement": f"{risk.statement}. Now: {risk.state}.",
        "props": _props(state=risk.state, owner=risk.owner),
        "status": "deviation-approved" if waived else risk.status,
        "characterizations": [{"origin": _origins()[0], "facets": facets}],
        "mitigating-factors": [
            {
                "uuid": _uuid("mitigation", report.specification.id, risk.id, link.requirement),
                "description": f"{link.requirement}: {link.verdict.value}{', waived' if link.waived else ''}",
            }
            for link in risk.mitigations
        ],
        "deadline": _instant(risk.deadline) if risk.deadline else None,
        "risk-log": _risk_log(report, risk.id, findings),
    }


def _risk_log(report: ReportView, risk: str, findings: list[FindingView]) -> dict[str, Any] | None:
    """Return the approved deviations: one entry for each waiver in force."""
    waivers = {found.waiver.id: found.waiver for found in findings if found.waiver}
    return (
        {
            "entries": [
                {
                    "uuid": _uuid("waiver", report.subject.name, risk, waiver.id),
                    "title": f"Waiver {waiver.id} for {waiver.requirement}",
                    "description": waiver.reason or "The reason is confidential.",
                    "start": _instant(waiver.created),
                    "end": _instant(waiver.expires),
                    "props": _props(type="dr-approved", approver=waiver.approver),
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
        "uuid": _uuid("item", report.subject.name, item.finding),
        "title": f"{found.name}: {found.verdict.value}",
        "description": item.action,
        "props": _props(severity=item.severity, due=_instant(item.due) if item.due else None, owner=item.owner),
        "related-findings": [{"finding-uuid": _uuid("finding", report.subject.name, item.finding)}],
        "related-observations": [
            {"observation-uuid": _uuid("observation", report.assessment.id, path)}
            for path in found.leaves
            if path in shown
        ],
        "related-risks": [{"risk-uuid": risk} for risk in _risk_ids(report, found)],
    }


def _risk_ids(report: ReportView, found: FindingView) -> list[str]:
    known = {risk.id for risk in report.risks}
    named = [_uuid("risk", report.specification.id, risk) for risk in found.risks if risk in known]
    return named or ([_own_risk(report, found)] if found.verdict in FAILING else [])


def _own_risk(report: ReportView, found: FindingView) -> str:
    return _uuid("risk-of", report.specification.id, found.requirement)


def _resources(report: ReportView) -> list[dict[str, Any]]:
    specification = report.specification
    resources = {
        _specification_uuid(report): {
            "title": f"{specification.id} version {specification.version}",
            "description": "The conformity specification.",
            "rlinks": [_rlink("specification.yaml", "application/yaml", specification.digest)],
        }
    }
    for leaf in _observed(report):
        for kept in leaf.evidence:
            resources[_uuid("evidence", kept.digest)] = {
                "title": f"Evidence for {leaf.path}",
                "description": kept.origin,
                "rlinks": [_rlink(f"evidence/{kept.digest.partition(':')[2]}", kept.media_type, kept.digest)],
            }
    return [{"uuid": name, **resource} for name, resource in resources.items()]


def _rlink(href: str, media_type: str, digest: str) -> dict[str, Any]:
    return {
        "href": href,
        "media-type": media_type if re.fullmatch(r"[\w.+-]+/[\w.+-]+", media_type) else "application/octet-stream",
        "hashes": [{"algorithm": "SHA-256", "value": digest.partition(":")[2]}],
    }


def _specification_uuid(report: ReportView) -> str:
    return _uuid("specification", report.specification.digest)


def _origins() -> list[dict[str, Any]]:
    return [{"actors": [{"type": "tool", "actor-uuid": _uuid("tool", _TOOL)}]}]


def _props(**values: str | None) -> list[dict[str, str]]:
    """Return properties of our namespace; those without text are left out."""
    return [
        {"name": name.replace("_", "-"), "ns": NS, "value": " ".join(str(value).split())}
        for name, value in values.items()
        if value and str(value).strip()
    ]


def _counts(report: ReportView) -> str:
    return ", ".join(f"{count} {verdict.value}" for verdict, count in report.counts.items())


def _token(path: str) -> str:
    """Return a path as an OSCAL token."""
    token = re.sub(r"[^A-Za-z0-9._-]", ".", path)
    return token if re.match(r"[A-Za-z_]", token) else f"_{token}"


def _uuid(*names: str) -> str:
    return str(uuid.uuid5(NAMESPACE, "/".join(names)))


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _lean(part: Any) -> Any:
    """Return the document without what is empty, which OSCAL does not allow; `include-all` is empty by design."""
    if isinstance(part, dict):
        lean = {key: value if key == "include-all" else _lean(value) for key, value in part.items()}
        return {key: value for key, value in lean.items() if key == "include-all" or value not in (None, [], {})}
    if isinstance(part, list):
        return [_lean(value) for value in part]
    return part
