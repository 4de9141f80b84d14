"""What `cabc diff` says about two documents and two assessments."""

from __future__ import annotations

from typing import Any

import pytest
from cabc.document.model import Measurement
from cabc.engine.diff import compare_assessments, compare_documents, strictness
from cabc.record.types import Verdict

from tests.support import cabc as samples
from tests.support.cabc_engine import document, leaf, requirement


def measurement(comparison: str, target: Any, **more: Any) -> Measurement:
    kind = "ordinal" if "scale" in more else "string" if comparison in {"In", "Matches"} else "numeric"
    return Measurement.model_validate({"id": "m", "dataType": kind, "comparison": comparison, "target": target, **more})


SCALE = ["low", "medium", "high"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("LessThan", 1), ("LessThan", 2), "loosened"),
        (("LessThan", 2), ("LessThan", 1), "tightened"),
        (("GreaterThan", 1), ("GreaterThan", 2), "tightened"),
        (("GreaterThanOrEqual", 0.8), ("GreaterThanOrEqual", 0.7), "loosened"),
        (("LessThan", 1), ("LessThanOrEqual", 1), "loosened"),
        (("GreaterThanOrEqual", 1), ("GreaterThan", 1), "tightened"),
        (("LessThan", 1), ("GreaterThan", 1), "changed"),
        (("InRange", {"min": 0.8, "max": 1.25}), ("InRange", {"min": 0.7, "max": 1.25}), "loosened"),
        (("InRange", {"min": 0.8}), ("InRange", {"min": 0.8, "max": 2}), "tightened"),
        (("InRange", {"min": 0, "max": 1}), ("InRange", {"min": 0.5, "max": 2}), "changed"),
        (("In", ["a"]), ("In", ["a", "b"]), "loosened"),
        (("In", ["a"]), ("In", ["b"]), "changed"),
        (("Matches", "a"), ("Matches", "b"), "changed"),
        (("LessThan", 1), ("LessThan", {"baseline": "pinned"}), "changed"),
    ],
)
def test_strictness(before: tuple[str, Any], after: tuple[str, Any], expected: str) -> None:
    assert strictness(measurement(*before), measurement(*after)) == expected


def test_strictness_of_scales_and_tolerances() -> None:
    ordinal = [measurement("LessThan", target, scale=SCALE) for target in ("medium", "high")]
    assert strictness(*ordinal) == "loosened"
    near = [measurement("WithinTolerance", 1, tolerance=tolerance) for tolerance in (0.1, 0.01)]
    assert strictness(*near) == "tightened"


def test_documents_leaf_by_leaf_and_on_the_baseline() -> None:
    before = document(
        requirement("a", leaf("x", 0.8), leaf("y", 0.5, maxAge="PT1H"), leaf("gone")),
        requirement("b", leaf("z"), severity="critical"),
    )
    after = document(
        requirement("a", leaf("x", 0.7), leaf("y", 0.5, maxAge="PT2H", critical=False), leaf("new")),
        requirement("b", leaf("z"), severity="high"),
    )
    found = compare_documents(before, after, {"d/a/m/x": 0.75, "d/a/m/y": 0.9})

    assert (found.added, found.removed) == (["d/a/m/new"], ["d/a/m/gone"])
    assert {(each.path, each.what): (each.before, each.after, each.direction) for each in found.changes} == {
        ("d/a/m/x", "target"): ("at least 0.8", "at least 0.7", "loosened"),
        ("d/a/m/y", "critical"): ("true", "false", "loosened"),
        ("d/a/m/y", "maxAge"): ("PT1H", "PT2H", "loosened"),
        ("d/b", "severity"): ("critical", "high", "loosened"),
    }
    assert [(each.path, each.before, each.after) for each in found.verdicts] == [
        ("d/a/m/x", "not-satisfied", "satisfied")
    ]
    assert found.loosened
    assert not compare_documents(before, before).changes
    assert not compare_documents(before, before).loosened


def test_assessments() -> None:
    good, bad = Verdict.SATISFIED, Verdict.NOT_SATISFIED
    before = ([samples.observation(), samples.observation("d/gone")], [samples.finding()])
    after = (
        [samples.observation(verdict=bad, value=0.5), samples.observation("d/new")],
        [samples.finding(verdict=bad)],
    )
    found = compare_assessments(before, after)

    assert (found.added, found.removed) == (["d/new"], ["d/gone"])
    assert [(each.before, each.after) for each in found.verdicts] == [(good, bad)]
    assert [(each.before, each.after) for each in found.values] == [("0.9", "0.5")]
    assert found.worse
    assert not compare_assessments(after, after).worse
