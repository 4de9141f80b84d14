"""From a risk down to its evidence, and from a leaf up to the risks: the links of one assessment as a tree."""

from __future__ import annotations

from dataclasses import dataclass, field

from cabc.errors import CabcError
from cabc.report.types import FindingView, LeafView, ReportView
from cabc.report.wording import words

__all__ = ["Trace", "trace"]


@dataclass(frozen=True)
class Trace:
    """Something in the chain from risk to evidence, and what it leads to."""

    kind: str
    """risk, requirement, measurement, evidence."""
    id: str
    verdict: str | None
    text: str
    links: list[Trace] = field(default_factory=list)


def trace(report: ReportView, name: str) -> Trace:
    """Return the tree below a risk or a requirement, or above a leaf; CabcError for an unknown name.

    A requirement or leaf may be named by the end of its path when no other ends so.
    """
    if any(risk.id == name for risk in report.risks):
        return _risk(report, name)
    requirement = _one(name, [found.requirement for found in report.findings])
    if requirement is not None:
        return _requirement(report, requirement)
    leaf = _one(name, [leaf.path for leaf in report.leaves])
    if leaf is not None:
        return _upwards(report, leaf)
    known = ", ".join([*(risk.id for risk in report.risks), *(found.requirement for found in report.findings)][:12])
    msg = f"{name!r} is no risk, requirement or leaf of assessment {report.assessment.id}"
    raise CabcError(msg, fix=f"name one of: {known}")


def _one(name: str, paths: list[str]) -> str | None:
    if name in paths:
        return name
    ending = [path for path in paths if path.endswith(f"/{name}")]
    if len(ending) > 1:
        msg = f"{name!r} could be {' or '.join(ending)}"
        raise CabcError(msg, fix="write the whole path")
    return ending[0] if ending else None


def _risk(report: ReportView, name: str) -> Trace:
    risk = next(risk for risk in report.risks if risk.id == name)
    below = [_requirement(report, link.requirement) for link in risk.mitigations]
    return Trace("risk", risk.id, risk.state, f"{risk.statement} (level {risk.level})", below)


def _requirement(report: ReportView, path: str) -> Trace:
    found = next(found for found in report.findings if found.requirement == path)
    leaves = {leaf.path: leaf for leaf in report.leaves}
    below = [_leaf(leaves[leaf]) for leaf in found.leaves if leaf in leaves]
    return Trace("requirement", path, found.verdict, _about(found), below)


def _leaf(leaf: LeafView) -> Trace:
    text = "confidential" if leaf.hidden else f"found {leaf.found or 'no value'}, wanted {leaf.wanted or 'a verdict'}"
    below = [
        Trace(
            "evidence", kept.digest, None, f"{kept.role}: {kept.origin}, collected {kept.collected:%Y-%m-%d %H:%M} UTC"
        )
        for kept in leaf.evidence
    ]
    return Trace("measurement", leaf.path, leaf.verdict, text, below)


def _upwards(report: ReportView, path: str) -> Trace:
    """Return the leaf with its evidence, and the requirement and risks that hang on it."""
    own = _leaf(next(leaf for leaf in report.leaves if leaf.path == path))
    above = [found for found in report.findings if path in found.leaves]
    risks = {risk.id: risk for risk in report.risks}
    links = [
        Trace(
            "requirement",
            found.requirement,
            found.verdict,
            _about(found),
            [Trace("risk", id_, risks[id_].state, risks[id_].statement) for id_ in found.risks if id_ in risks],
        )
        for found in above
    ]
    return Trace(own.kind, own.id, own.verdict, own.text, [*own.links, *links])


def _about(found: FindingView) -> str:
    waived = f", waived by {found.waiver.id}" if found.waiver else ""
    return f"{found.name}: {words(found.verdict)}{waived} ({found.severity})"
