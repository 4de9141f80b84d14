"""The conformity status for programs, and its changes as a feed. Built from what an executive may see."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from markupsafe import Markup

from cabc.report.svg import tag
from cabc.report.types import ReportView, StatusStep
from cabc.report.wording import label, statement, words

__all__ = ["NAMESPACE", "feed", "status_json"]

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:cabc")
"""Root of every UUID that is derived from a name, so that the same thing has the same id in every export."""


def status_json(report: ReportView) -> dict[str, Any]:
    """Return the status with its cause; what a gate, a registry or a page needs."""
    body = report.model_dump(mode="json", by_alias=True)
    return {
        "format": "cabc-status/1",
        "subject": body["subject"],
        "status": body["status"]["status"],
        "label": label(report.specification.mode, report.status.status)[1],
        "mode": report.specification.mode,
        "meaning": f"{report.status.text} {report.specification.mode_text}",
        "since": body["status"]["since"],
        "validUntil": body["status"]["validUntil"],
        "cause": body["status"]["cause"],
        "specification": {key: body["specification"][key] for key in ("id", "version", "digest")},
        "assessment": {key: body["assessment"][key] for key in ("id", "ended", "verdict", "complete")},
        "counts": body["counts"],
        "requirements": {found.requirement: found.verdict.value for found in report.findings},
        "waived": [found.requirement for found in report.findings if found.waiver],
        "openRisks": [risk.id for risk in report.risks if risk.state in {"not reduced", "not covered", "not assessed"}],
    }


def feed(report: ReportView) -> bytes:
    """Return the changes of the status as an Atom feed, the latest first."""
    subject = report.subject.name
    mode = report.specification.mode
    updated = report.history[-1].since if report.history else report.assessment.ended
    publisher = next((p.name for p in report.specification.parties if p.role == "publisher"), "cabc")
    parts = [
        tag("title", f"Conformity status of {subject}"),
        tag("subtitle", report.specification.mode_text),
        tag("id", _urn(subject)),
        tag("updated", _instant(updated)),
        tag("author", tag("name", publisher)),
        tag("generator", "cabc", version=report.assessment.engine_version),
        *(_entry(subject, mode, step) for step in reversed(_changes(report.history))),
    ]
    text = tag("feed", Markup().join(parts), xmlns="http://www.w3.org/2005/Atom")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _entry(subject: str, mode: str, step: StatusStep) -> Markup:
    version = f" version {step.version}" if step.version else ""
    said = label(mode, step.status)[1]
    parts = [
        tag("title", f"{subject}{version}: {said}"),
        tag("id", _urn(f"{subject}/{_instant(step.since)}/{step.status}")),
        tag("updated", _instant(step.since)),
        tag("summary", f"{statement(mode, step.status)} Cause: {step.cause or words(step.status)}.", type="text"),
    ]
    return tag("entry", Markup().join(parts))


def _changes(history: list[StatusStep]) -> list[StatusStep]:
    """Leave out steps that only changed what the cause is."""
    begun = {(step.since, step.status): step for step in reversed(history)}
    return [step for step in history if begun[step.since, step.status] is step]


def _urn(name: str) -> str:
    return uuid.uuid5(NAMESPACE, name).urn


def _instant(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
