"""Leaves as a reader may see them: value, target, evidence and its age, earlier values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from cabc.document.base import Model
from cabc.document.model import BaselineTarget, InterfaceTarget, Measurement, ReferenceTarget
from cabc.record.types import Evidence, LeafEvidence, Observation, Verdict
from cabc.report.context import Context, is_failing
from cabc.report.pages import shown
from cabc.report.types import Change, EvidenceView, LeafPoint, LeafView
from cabc.report.wording import wanted

__all__ = ["allowed", "changes", "leaf_views"]

_PLOTS = 8
"""So many leaves get their earlier values."""
_ORDER = [
    Verdict.NOT_SATISFIED,
    Verdict.ERROR,
    Verdict.NEEDS_REVIEW,
    Verdict.NOT_EVALUATED,
    Verdict.SATISFIED,
    Verdict.NOT_APPLICABLE,
]


def leaf_views(context: Context) -> list[LeafView]:
    """Return every leaf, failing ones first, each kind in the document's order."""
    ordered = sorted(context.observations, key=lambda found: _ORDER.index(found.verdict))
    points = _points(context, [found for found in ordered if _plotted(context, found)][:_PLOTS])
    return [_leaf_view(context, found, points.get(found.path, [])) for found in ordered]


def allowed(comparison: str | None, target: Any, tolerance: float | None) -> tuple[float | None, float | None]:
    """Return the ends of what a numeric target allows; None where it is open or not a number."""
    if isinstance(target, dict) and comparison == "InRange":
        return _number(target.get("min")), _number(target.get("max"))
    number = _number(target)
    match comparison:
        case _ if number is None:
            return None, None
        case "LessThan" | "LessThanOrEqual":
            return None, number
        case "GreaterThan" | "GreaterThanOrEqual":
            return number, None
        case "WithinTolerance" | "EqualTo":
            return number - (tolerance or 0.0), number + (tolerance or 0.0)
        case _:
            return None, None


def changes(context: Context) -> list[Change]:
    """Return the leaves whose verdict differs from the assessment before, and those that came or went."""
    if not context.earlier:
        return []
    before = {found.path: found for found in context.record.observations(context.earlier[0].id)}
    after = {found.path: found for found in context.observations}
    found: list[Change] = []
    for path in [*after, *(path for path in before if path not in after)]:
        old, new = before.get(path), after.get(path)
        if old and new and old.verdict is new.verdict:
            continue
        hidden = context.hides_leaf(path) or any(side and side.confidential and context.guarded for side in (old, new))
        found.append(
            Change(
                path=path,
                before=old.verdict if old else None,
                after=new.verdict if new else None,
                before_value=None if hidden or not old or old.value is None else _with_unit(old.value, old.unit),
                after_value=None if hidden or not new or new.value is None else _with_unit(new.value, new.unit),
            )
        )
    return found


def _leaf_view(context: Context, found: Observation, points: list[LeafPoint]) -> LeafView:
    hidden = context.hides_leaf(found.path) or (found.confidential and context.guarded)
    seen: dict[str, Any] = {} if hidden else _details(context, found, points)
    return LeafView(
        path=found.path,
        requirement=found.requirement,
        verdict=found.verdict,
        confidential=found.confidential,
        hidden=hidden,
        critical=found.critical,
        **seen,
    )


def _details(context: Context, found: Observation, points: list[LeafPoint]) -> dict[str, Any]:
    leaf = context.leaves.get(found.path)
    element = leaf.element if leaf else None
    target = _plain(found.target) if found.target is not None else _declared(element)
    tolerance = getattr(element, "tolerance", None)
    low, high = allowed(found.comparison, target, tolerance)
    return {
        "name": element.name if element else None,
        "comment": element.comment if element else None,
        "reason": found.reason,
        "value": found.value,
        "target": target,
        "comparison": found.comparison,
        "unit": found.unit,
        "found": _with_unit(found.value, found.unit) if found.value is not None else None,
        "wanted": _wanted(found, target, tolerance),
        "interface": _interface(element.interface if element else None),
        "assessor": leaf.assessor if leaf else None,
        "frequency": leaf.frequency if leaf else None,
        "source": found.source,
        "collected": found.collected,
        "age_seconds": _age(context, found.collected),
        "max_age": element.max_age if isinstance(element, Measurement) else None,
        "duration_ms": found.duration_ms,
        "specification": leaf.specification if leaf else None,
        "evidence": _evidence(context, context.collected.get(found.path)),
        "points": points,
        "low": low,
        "high": high,
    }


def _evidence(context: Context, had: LeafEvidence | None) -> list[EvidenceView]:
    if had is None:
        return []
    views: list[EvidenceView] = []
    pairs: list[tuple[Any, Evidence | None]] = [("value", had.value), ("target", had.target)]
    for role, evidence in pairs:
        if evidence is not None:
            views.append(
                EvidenceView(
                    digest=evidence.digest,
                    role=role,
                    media_type=evidence.media_type,
                    size=evidence.size,
                    collected=evidence.collected,
                    age_seconds=_age(context, evidence.collected) or 0,
                    origin=evidence.origin,
                    redacted=evidence.redacted,
                )
            )
    return views


def _plotted(context: Context, found: Observation) -> bool:
    """Return whether earlier values of a leaf are of use: a number that fails, or for auditors any number."""
    wanted = is_failing(found) or context.reader == "auditor"
    hidden = context.hides_leaf(found.path) or (found.confidential and context.guarded)
    return wanted and not hidden and (_number(found.value) is not None or found.verdict is Verdict.ERROR)


def _points(context: Context, wanted: Iterable[Observation]) -> dict[str, list[LeafPoint]]:
    """Return the values of some leaves in the last assessments, oldest first."""
    paths = {found.path for found in wanted}
    points: dict[str, list[LeafPoint]] = {path: [] for path in paths}
    if not paths:
        return points
    for assessment in reversed(context.earlier):
        for old in context.record.observations(assessment.id):
            if old.path in paths and not (old.confidential and context.guarded):
                _add_point(points[old.path], assessment.ended, old)
    for found in context.observations:
        if found.path in paths:
            _add_point(points[found.path], context.assessment.ended, found)
    return {path: found for path, found in points.items() if len(found) > 1}


def _add_point(points: list[LeafPoint], at: dt.datetime, found: Observation) -> None:
    if found.verdict not in {Verdict.NOT_EVALUATED, Verdict.NOT_APPLICABLE}:
        points.append(LeafPoint(at=at, value=_number(found.value), verdict=found.verdict))


def _wanted(found: Observation, target: Any, tolerance: float | None) -> str | None:
    if found.comparison is None:
        return None
    if found.comparison == "InRange" and isinstance(target, dict):
        ends = [(word, target.get(end)) for word, end in (("from", "min"), ("to", "max"))]
        return " ".join(f"{word} {_with_unit(end, found.unit)}" for word, end in ends if end is not None)
    margin = f" ± {tolerance:g}" if tolerance is not None else ""
    return wanted(found.comparison, _with_unit(target, found.unit)) + margin


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _plain(target: Any) -> Any:
    return target.model_dump(mode="json", exclude_none=True) if isinstance(target, Model) else target


def _declared(element: object) -> Any:
    """Return the target that the document declares, where the assessment had none."""
    match getattr(element, "target", None):
        case ReferenceTarget() as target:
            return target.ref
        case InterfaceTarget():
            return "a retrieved target"
        case BaselineTarget():
            return "the pinned baseline's value"
        case target:
            return _plain(target)


def _with_unit(value: Any, unit: str | None) -> str:
    return f"{shown(value)} {unit}" if unit and value is not None else shown(value)


def _age(context: Context, collected: dt.datetime | None) -> int | None:
    return None if collected is None else max(int((context.assessment.ended - collected).total_seconds()), 0)


def _interface(spec: Any) -> str | None:
    """Return the kind of interface and its connection, never what is asked of it."""
    if spec is None:
        return None
    connection = getattr(spec, "connection", None)
    return f"{spec.kind} via {connection}" if connection else str(spec.kind)
