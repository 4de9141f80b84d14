"""What changed: between two versions of a document, or between two assessments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cabc.document.durations import parse_duration
from cabc.document.loaded import Leaf, LoadedDocument, RequirementNode
from cabc.document.model import BaselineTarget, Measurement, RangeTarget
from cabc.engine.status import at_least
from cabc.measurement import CompareError, compare, moved, wanted
from cabc.measurement.types import shown
from cabc.record.types import Finding, Observation, Verdict

__all__ = ["AssessmentDiff", "Change", "DocumentDiff", "compare_assessments", "compare_documents", "strictness"]

Direction = Literal["loosened", "tightened", "changed"]

_UP_IS_LOOSER = {"LessThan": True, "LessThanOrEqual": True, "GreaterThan": False, "GreaterThanOrEqual": False}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference at one place."""

    path: str
    what: str
    """Key that differs: target, comparison, severity, verdict, value."""
    before: str
    after: str
    direction: Direction = "changed"
    confidential: bool = False


@dataclass(frozen=True)
class DocumentDiff:
    """Two versions of a document, leaf by leaf."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    verdicts: list[Change] = field(default_factory=list)
    """What the values of the pinned baseline would get now."""

    @property
    def loosened(self) -> bool:
        """The new version asks for less somewhere."""
        return bool(self.removed) or any(each.direction == "loosened" for each in self.changes)


@dataclass(frozen=True)
class AssessmentDiff:
    """Two assessments of the same or of another document."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    verdicts: list[Change] = field(default_factory=list)
    values: list[Change] = field(default_factory=list)
    targets: list[Change] = field(default_factory=list)
    requirements: list[Change] = field(default_factory=list)

    @property
    def worse(self) -> bool:
        """Something that was satisfied is not any more."""
        changes = [*self.verdicts, *self.requirements]
        return any(each.before == Verdict.SATISFIED and each.after != Verdict.SATISFIED for each in changes)


def compare_documents(
    before: LoadedDocument, after: LoadedDocument, baseline: Mapping[str, object] | None = None
) -> DocumentDiff:
    """Return what the new version changes, and what it makes of the values of the pinned baseline."""
    old, new = _leaves(before), _leaves(after)
    both = [path for path in new if path in old]
    changes = [change for path in both for change in _leaf_changes(old[path], new[path])]
    old_nodes = {node.path: node for node in before.requirements}
    for node in after.requirements:
        if node.path in old_nodes:
            changes += _requirement_changes(old_nodes[node.path], node)
    return DocumentDiff(
        added=[path for path in new if path not in old],
        removed=[path for path in old if path not in new],
        changes=changes,
        verdicts=[
            Change(path, "verdict", was, now, _verdict_direction(was, now), new[path].confidential)
            for path in both
            if path in (baseline or {})
            and (was := _on(old[path], baseline or {})) != (now := _on(new[path], baseline or {}))
        ],
    )


def _leaves(document: LoadedDocument) -> dict[str, Leaf]:
    return {leaf.path: leaf for leaf in document.leaves()}


def _on(leaf: Leaf, baseline: Mapping[str, object]) -> str:
    """Return the verdict that the baseline's value gets by a leaf."""
    element = leaf.element
    if not isinstance(element, Measurement):
        return Verdict.NOT_EVALUATED.value
    value = baseline[leaf.path]
    try:
        target = moved(element.target, value) if isinstance(element.target, BaselineTarget) else element.target
        return (Verdict.SATISFIED if compare(element, value, target) else Verdict.NOT_SATISFIED).value
    except CompareError:
        return Verdict.ERROR.value


def _verdict_direction(was: str, now: str) -> Direction:
    if now == Verdict.SATISFIED:
        return "loosened"
    return "tightened" if was == Verdict.SATISFIED else "changed"


def _leaf_changes(old: Leaf, new: Leaf) -> list[Change]:
    before, after, hidden = old.element, new.element, new.confidential or old.confidential
    if not isinstance(before, Measurement) or not isinstance(after, Measurement):
        same = _plain(before) == _plain(after)
        return [] if same else [Change(new.path, "assessor", shown(old.assessor), shown(new.assessor))]
    found = []
    asked = ("comparison", "target", "tolerance", "unit", "scale", "data_type")
    if any(getattr(before, key) != getattr(after, key) for key in asked):
        was, now = (_asks(each) for each in (before, after))
        found.append(Change(new.path, "target", was, now, strictness(before, after), hidden))
    if before.critical != after.critical:
        direction: Direction = "tightened" if after.critical else "loosened"
        found.append(Change(new.path, "critical", shown(before.critical), shown(after.critical), direction))
    if before.max_age != after.max_age:
        direction = _span_direction(before.max_age, after.max_age)
        found.append(Change(new.path, "maxAge", before.max_age or "any", after.max_age or "any", direction))
    if (before.interface, before.value_unit) != (after.interface, after.value_unit):
        found.append(Change(new.path, "interface", _source(before), _source(after), "changed", hidden))
    return found


def _requirement_changes(old: RequirementNode, new: RequirementNode) -> list[Change]:
    found = []
    was, now = old.requirement.severity, new.requirement.severity
    if was != now:
        direction: Direction = "tightened" if at_least(now, was) else "loosened"
        found.append(Change(new.path, "severity", was, now, direction))
    if old.requirement.mitigates != new.requirement.mitigates:
        before, after = ", ".join(old.requirement.mitigates), ", ".join(new.requirement.mitigates)
        found.append(Change(new.path, "mitigates", before or "nothing", after or "nothing"))
    if old.requirement.applies_when != new.requirement.applies_when:
        applies = (shown(old.requirement.applies_when), shown(new.requirement.applies_when))
        found.append(Change(new.path, "appliesWhen", *applies))
    if old.frequency != new.frequency:
        found.append(Change(new.path, "frequency", old.frequency, new.frequency))
    metrics = {metric.id: metric for metric in old.requirement.metrics}
    for metric in new.requirement.metrics:
        earlier = metrics.get(metric.id)
        if earlier is not None and earlier.aggregate != metric.aggregate:
            ways = (_plain(earlier.aggregate), _plain(metric.aggregate))
            found.append(Change(f"{new.path}/{metric.id}", "aggregate", shown(ways[0]), shown(ways[1])))
    return found


def _span_direction(before: str | None, after: str | None) -> Direction:
    if before is None or after is None:
        return "tightened" if before is None else "loosened"
    return "loosened" if parse_duration(after) > parse_duration(before) else "tightened"


def strictness(before: Measurement, after: Measurement) -> Direction:
    """Say whether everything that met the old target meets the new one, or the other way round, where that is clear."""
    if (before.data_type, before.unit, before.scale) != (after.data_type, after.unit, after.scale):
        return "changed"
    if before.comparison in _UP_IS_LOOSER and after.comparison in _UP_IS_LOOSER:
        return _order(before, after)
    old, new = before.target, after.target
    looser = stricter = False
    if before.comparison != after.comparison:
        pass
    elif before.comparison == "InRange":
        looser, stricter = _within(after, before), _within(before, after)
    elif before.comparison == "In" and isinstance(old, list) and isinstance(new, list):
        looser, stricter = set(old) <= set(new), set(new) <= set(old)
    elif before.comparison in {"WithinTolerance", "EqualTo"} and old == new:
        was, now = before.tolerance or 0.0, after.tolerance or 0.0
        looser, stricter = now >= was, was >= now
    return _sides(looser, stricter)


def _sides(looser: bool, stricter: bool) -> Direction:  # noqa: FBT001 (a pair)
    if looser is stricter:
        return "changed"
    return "loosened" if looser else "tightened"


def _order(before: Measurement, after: Measurement) -> Direction:
    up = _UP_IS_LOOSER[before.comparison]
    old, new = _rank(before, before.target), _rank(after, after.target)
    if up is not _UP_IS_LOOSER[after.comparison] or old is None or new is None:
        return "changed"
    if old != new:
        return "loosened" if (new > old) is up else "tightened"
    return "loosened" if after.comparison.endswith("OrEqual") else "tightened"


def _rank(measurement: Measurement, target: object) -> float | None:
    if isinstance(target, str) and measurement.scale and target in measurement.scale:
        return measurement.scale.index(target)
    if isinstance(target, int | float) and not isinstance(target, bool):
        return target
    return None


def _within(outer: Measurement, inner: Measurement) -> bool:
    """Say whether the inner range lies in the outer one."""
    if not isinstance(outer.target, RangeTarget) or not isinstance(inner.target, RangeTarget):
        return False
    low = _end_in(outer, outer.target.min, inner.target.min, lower=True)
    return low and _end_in(outer, outer.target.max, inner.target.max, lower=False)


def _end_in(measurement: Measurement, outer: object, inner: object, *, lower: bool) -> bool:
    if outer is None or inner is None:
        return outer is None
    first, second = _rank(measurement, outer), _rank(measurement, inner)
    if first is None or second is None:
        return False
    return first <= second if lower else first >= second


def _asks(measurement: Measurement) -> str:
    target = measurement.target
    if isinstance(target, BaselineTarget):
        margins = {"relative": target.relative, "absolute": target.absolute}
        said = ", ".join(f"{key} {value:+g}" for key, value in margins.items() if value is not None)
        return f"{measurement.comparison} the baseline{f' ({said})' if said else ''}"
    text = wanted(measurement, target if isinstance(target, RangeTarget) else _plain(target))
    return f"{text} of {', '.join(measurement.scale)}" if measurement.scale else text


def _source(measurement: Measurement) -> str:
    interface = measurement.interface
    return "nothing" if interface is None else interface.model_dump_json(by_alias=True, exclude_defaults=True)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json", by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


def compare_assessments(
    before: tuple[Sequence[Observation], Sequence[Finding]], after: tuple[Sequence[Observation], Sequence[Finding]]
) -> AssessmentDiff:
    """Return what came out differently."""
    old, new = ({each.path: each for each in observations} for observations, _ in (before, after))
    both = [(old[path], new[path]) for path in new if path in old]
    findings = {each.requirement: each for each in before[1]}
    return AssessmentDiff(
        added=[path for path in new if path not in old],
        removed=[path for path in old if path not in new],
        verdicts=[_change("verdict", *pair) for pair in both if pair[0].verdict != pair[1].verdict],
        values=[_change("value", *pair) for pair in both if pair[0].value != pair[1].value],
        targets=[_change("target", *pair) for pair in both if pair[0].target != pair[1].target],
        requirements=[
            Change(each.requirement, "verdict", findings[each.requirement].verdict.value, each.verdict.value)
            for each in after[1]
            if each.requirement in findings and findings[each.requirement].verdict != each.verdict
        ],
    )


def _change(what: str, old: Observation, new: Observation) -> Change:
    before, after = getattr(old, what), getattr(new, what)
    words = (str(before), str(after)) if what == "verdict" else (shown(before), shown(after))
    return Change(new.path, what, *words, confidential=old.confidential or new.confidential)
