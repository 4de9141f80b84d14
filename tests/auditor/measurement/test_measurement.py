"""Every rule of comparison, and every trap that a measurement can fall into."""

from __future__ import annotations

import contextlib
import math
from decimal import Decimal
from typing import Any

import pytest
from cabc.document.model import BaselineTarget
from cabc.measurement import CompareError, compare, in_unit, mistakes, moved, wanted
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.auditor.measurement.conftest import measurement

ORDER = ("LessThan", "LessThanOrEqual", "GreaterThan", "GreaterThanOrEqual")
MATRIX = {
    "numeric": {*ORDER, "EqualTo", "NotEqualTo", "InRange", "WithinTolerance"},
    "ordinal": {*ORDER, "EqualTo", "NotEqualTo", "InRange"},
    "boolean": {"EqualTo", "NotEqualTo"},
    "string": {"EqualTo", "NotEqualTo", "Contains", "Matches", "In"},
}


@pytest.mark.parametrize(
    ("kind", "comparison", "target", "value", "more", "expected"),
    [
        ("numeric", "LessThan", 0.02, 0.01, {}, True),
        ("numeric", "LessThan", 0.02, 0.02, {}, False),
        ("numeric", "LessThanOrEqual", 0.02, 0.02, {}, True),
        ("numeric", "GreaterThan", 3, 3, {}, False),
        ("numeric", "GreaterThanOrEqual", 3, 3.0, {}, True),
        ("numeric", "EqualTo", 3, 3.0, {}, True),
        ("numeric", "NotEqualTo", 3, 4, {}, True),
        ("numeric", "EqualTo", 0.3, 0.1 + 0.2, {"tolerance": 1e-9}, True),
        ("numeric", "NotEqualTo", 0.3, 0.1 + 0.2, {"tolerance": 1e-9}, False),
        ("numeric", "WithinTolerance", 1.0, 1.01, {"tolerance": 0.01}, True),
        ("numeric", "WithinTolerance", 1.0, 0.99, {"tolerance": 0.01}, True),
        ("numeric", "WithinTolerance", 1.0, 1.011, {"tolerance": 0.01}, False),
        ("numeric", "InRange", {"min": 0.8, "max": 1.25}, 0.8, {}, True),
        ("numeric", "InRange", {"min": 0.8, "max": 1.25}, 1.26, {}, False),
        ("numeric", "InRange", {"min": 0.8}, 1e300, {}, True),
        ("numeric", "InRange", {"max": 5}, 6, {}, False),
        ("ordinal", "LessThan", "high", "medium", {"scale": ["low", "medium", "high"]}, True),
        ("ordinal", "GreaterThanOrEqual", "medium", "low", {"scale": ["low", "medium", "high"]}, False),
        ("ordinal", "InRange", {"min": "low", "max": "medium"}, "high", {"scale": ["low", "medium", "high"]}, False),
        ("ordinal", "EqualTo", "low", "low", {"scale": ["low", "medium"]}, True),
        ("boolean", "EqualTo", True, True, {}, True),
        ("boolean", "NotEqualTo", True, True, {}, False),
        ("string", "EqualTo", "OK", "ok", {}, False),
        ("string", "NotEqualTo", "latest", "1.2", {}, True),
        ("string", "Contains", "limit", "Known limitations", {}, True),
        ("string", "Contains", "limit", ["limit", "other"], {}, True),
        ("string", "Contains", "limit", ["limitations"], {}, False),
        ("string", "Contains", "1", [1], {}, False),
        ("string", "In", ["a", "b"], "b", {}, True),
        ("string", "In", ["a", "b"], "c", {}, False),
        ("string", "Matches", "v[0-9]+", "v12", {}, True),
        ("string", "Matches", "v[0-9]+", "xv12", {}, False),
    ],
)
def test_comparison(
    *, kind: str, comparison: str, target: Any, value: Any, more: dict[str, Any], expected: bool
) -> None:
    leaf = measurement(kind, comparison, target, **more)

    assert mistakes(leaf) == []
    assert compare(leaf, value, leaf.target) is expected


@pytest.mark.parametrize(
    ("kind", "comparison", "target", "value", "more", "said"),
    [
        ("numeric", "LessThan", 2, True, {}, "found a boolean (true), wanted a number"),
        ("numeric", "LessThan", 2, "0.9", {}, "wanted a number; declare `cast: numeric`"),
        ("numeric", "LessThan", 2, math.nan, {}, "nan, which is not a finite number"),
        ("numeric", "NotEqualTo", 2, math.nan, {}, "nan, which is not a finite number"),
        ("numeric", "GreaterThan", 2, math.inf, {}, "inf, which is not a finite number"),
        ("numeric", "GreaterThan", 2, -math.inf, {}, "-inf, which is not a finite number"),
        ("numeric", "GreaterThan", 2, 10**1000, {}, "3322 bits, which is not a finite number"),
        ("numeric", "GreaterThan", 2, [3], {}, "found a list"),
        ("numeric", "GreaterThan", 2, None, {}, "found nothing"),
        ("numeric", "GreaterThan", 2, {"a": 1}, {}, "found an object"),
        ("numeric", "EqualTo", 1, 0.9999999999, {}, "needs a tolerance"),
        ("ordinal", "LessThan", "high", "extreme", {"scale": ["low", "high"]}, "wanted one of the scale low, high"),
        ("ordinal", "LessThan", "high", 0, {"scale": ["low", "high"]}, "wanted one of the scale low, high"),
        ("boolean", "EqualTo", True, 1, {}, "wanted true or false"),
        ("boolean", "EqualTo", True, "true", {}, "declare `cast: boolean`"),
        ("string", "EqualTo", "1", 1, {}, "found a number (1), wanted text"),
        ("string", "EqualTo", "a", ["a"], {}, "found a list"),
        ("string", "Matches", "a+", ["a"], {}, "found a list"),
        ("string", "In", ["1"], 1, {}, "wanted text"),
    ],
)
def test_value_of_another_type_is_an_error(
    *, kind: str, comparison: str, target: Any, value: Any, more: dict[str, Any], said: str
) -> None:
    leaf = measurement(kind, comparison, target, **more)

    with pytest.raises(CompareError) as caught:
        compare(leaf, value, leaf.target)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", MATRIX)
@pytest.mark.parametrize("comparison", sorted(set[str]().union(*MATRIX.values())))
def test_type_matrix(kind: str, comparison: str) -> None:
    leaf = measurement(kind, comparison, "x")
    refused = [each for each in mistakes(leaf) if each.key == "comparison"]

    assert bool(refused) is (comparison not in MATRIX[kind])
    if refused:
        assert refused[0].found == comparison
        assert set((refused[0].fix or "").removeprefix("write one of ").split(", ")) == MATRIX[kind]
        with pytest.raises(CompareError, match="does not compare"):
            compare(leaf, "x", "x")


@pytest.mark.parametrize(
    ("kind", "comparison", "target", "more", "expected"),
    [
        ("number", "LessThan", 1, {}, ["dataType"]),
        ("numeric", "Less", 1, {}, ["comparison"]),
        ("number", "Less", 1, {}, ["dataType", "comparison"]),
        ("numeric", "EqualTo", 0.3, {}, ["tolerance"]),
        ("numeric", "EqualTo", True, {}, ["target"]),
        ("numeric", "LessThan", "0.9", {}, ["target"]),
        ("numeric", "LessThan", [1], {}, ["target"]),
        ("numeric", "LessThan", {"min": 1}, {}, ["target"]),
        ("numeric", "LessThan", 1, {"tolerance": 0.1}, ["tolerance"]),
        ("numeric", "LessThan", 1, {"scale": ["a", "b"]}, ["scale"]),
        ("numeric", "LessThan", 1, {"unit": "furlongish"}, ["unit"]),
        ("numeric", "LessThan", 1, {"unit": "second", "valueUnit": "row"}, ["valueUnit"]),
        ("numeric", "LessThan", 1, {"valueUnit": "row"}, ["valueUnit"]),
        ("numeric", "WithinTolerance", 1, {}, ["tolerance"]),
        ("numeric", "WithinTolerance", 1, {"tolerance": -0.1}, ["tolerance"]),
        ("numeric", "EqualTo", 1, {"tolerance": -0.1}, ["tolerance"]),
        ("numeric", "InRange", 1, {}, ["target"]),
        ("numeric", "InRange", {}, {}, ["target"]),
        ("numeric", "InRange", {"min": 2, "max": 1}, {}, ["target.max"]),
        ("numeric", "InRange", {"min": "2", "max": "x"}, {}, ["target.min", "target.max"]),
        ("numeric", "InRange", {"baseline": "pinned"}, {}, ["target"]),
        ("ordinal", "LessThan", "high", {}, ["scale"]),
        ("ordinal", "LessThan", "high", {"scale": ["high"]}, ["scale"]),
        ("ordinal", "LessThan", "high", {"scale": ["high", "high"]}, ["scale"]),
        ("ordinal", "LessThan", "top", {"scale": ["low", "high"]}, ["target"]),
        ("ordinal", "InRange", {"min": "high", "max": "low"}, {"scale": ["low", "high"]}, ["target.max"]),
        ("ordinal", "LessThan", "low", {"scale": ["low", "high"], "unit": "second"}, ["unit"]),
        ("ordinal", "EqualTo", {"baseline": "pinned", "relative": 0.1}, {"scale": ["low", "high"]}, ["target"]),
        ("boolean", "EqualTo", 1, {}, ["target"]),
        ("boolean", "EqualTo", "true", {"unit": "day"}, ["unit", "target"]),
        ("string", "EqualTo", 1.2, {}, ["target"]),
        ("string", "In", "a", {}, ["target"]),
        ("string", "In", [], {}, ["target"]),
        ("string", "In", ["a", 1], {}, ["target[1]"]),
        ("string", "Contains", "", {}, ["target"]),
        ("string", "Matches", "(", {}, ["target"]),
        ("string", "Matches", r"(a)\1", {}, ["target"]),
    ],
)
def test_mistakes(kind: str, comparison: str, target: Any, more: dict[str, Any], expected: list[str]) -> None:
    found = mistakes(measurement(kind, comparison, target, **more))

    assert [each.key for each in found] == expected
    assert all(each.found and each.wanted and each.fix and "\n" not in each.fix for each in found)


def test_misspelt_names_get_the_right_one() -> None:
    found = mistakes(measurement("Numeric", "lessthan", 1))

    assert [each.fix for each in found] == ["write numeric", "write LessThan"]


@pytest.mark.parametrize("target", [{"ref": "subject.version"}, {"baseline": "pinned"}])
def test_targets_of_a_run_are_not_judged_at_load(target: Any) -> None:
    assert mistakes(measurement("string", "EqualTo", target)) == []


def test_pattern_takes_linear_time() -> None:
    leaf = measurement("string", "Matches", "(a*)*b")

    assert compare(leaf, "a" * 100_000, leaf.target) is False  # minutes with a backtracking engine


@pytest.mark.parametrize(
    ("value", "value_unit", "unit", "expected"),
    [
        (1100, "millisecond", "second", 1.1),
        (2, "percent", "dimensionless", 0.02),
        (0.5, "dimensionless", "%", 50),
        (26, "week", "day", 182),
        (60, "request/minute", "request/second", 1),
        (20, "degC", "kelvin", 293.15),
        (1, "gibibyte", "byte", 1073741824),
    ],
)
def test_value_in_the_unit_of_the_target(value: float, value_unit: str, unit: str, expected: float) -> None:
    leaf = measurement("numeric", "LessThanOrEqual", expected, unit=unit, valueUnit=value_unit)

    assert mistakes(leaf) == []
    assert in_unit(leaf, value) == expected
    assert compare(leaf, in_unit(leaf, value), leaf.target)


@pytest.mark.parametrize("value", [True, "1100", None, [1]])
def test_what_is_no_number_keeps_its_form(value: Any) -> None:
    assert in_unit(measurement("numeric", "LessThan", 1, unit="second", valueUnit="ms"), value) is value


def test_bad_conversion_is_an_error() -> None:
    with pytest.raises(CompareError, match="cannot be converted"):
        in_unit(measurement("numeric", "LessThan", 1, unit="second", valueUnit="row"), 3)


@pytest.mark.parametrize("unit", ["2**99999", "second**99999", "1e9999", "__import__", "a.b", "(second)", "s" * 100])
def test_hostile_unit_is_refused(unit: str) -> None:
    assert [each.key for each in mistakes(measurement("numeric", "LessThan", 1, unit=unit))] == ["unit"]


def test_baseline_moves_by_its_margins() -> None:
    assert moved(BaselineTarget(baseline="pinned", relative=-0.05), 0.8) == 0.76
    assert moved(BaselineTarget(baseline="pinned", absolute=0.1), 0.2) == 0.3
    assert moved(BaselineTarget(baseline="pinned", relative=-0.5), -10) == -15
    assert moved(BaselineTarget(baseline="pinned"), "v3") == "v3"
    with pytest.raises(CompareError, match="wanted a number"):
        moved(BaselineTarget(baseline="pinned", relative=0.1), "v3")


def test_wanted_in_words() -> None:
    assert wanted(measurement("numeric", "LessThan", 0.3, unit="second"), 0.3) == "less than 0.3 second"
    assert wanted(measurement("numeric", "InRange", {"min": 1}), measurement("numeric", "InRange", {"min": 1}).target)
    assert wanted(measurement("numeric", "WithinTolerance", 1, tolerance=0.1), 1) == "close to 1 ± 0.1"


numbers = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=5,
)


@given(numbers, numbers)
def test_order_is_python_s_and_opposites_are_opposite(value: float, target: float) -> None:
    def answer(name: str) -> bool:
        return compare(measurement("numeric", name, 0), value, target)

    assert answer("LessThan") is (value < target)
    assert answer("LessThan") is not answer("GreaterThanOrEqual")
    assert answer("GreaterThan") is not answer("LessThanOrEqual")


@given(numbers, numbers, st.floats(0, 1e6))
def test_tolerance_is_symmetric_and_exact(value: float, target: float, tolerance: float) -> None:
    leaf = measurement("numeric", "WithinTolerance", 0, tolerance=tolerance)

    assert compare(leaf, value, target) is compare(leaf, target, value)
    assert compare(leaf, value, value)
    equal = measurement("numeric", "EqualTo", 0, tolerance=tolerance)
    unequal = measurement("numeric", "NotEqualTo", 0, tolerance=tolerance)
    assert compare(equal, value, target) is not compare(unequal, value, target)


@given(st.lists(st.text(min_size=1), min_size=2, max_size=6, unique=True), st.data())
def test_ordinal_order_is_the_scale_s(scale: list[str], data: st.DataObject) -> None:
    left, right = data.draw(st.sampled_from(scale)), data.draw(st.sampled_from(scale))

    assert compare(measurement("ordinal", "LessThan", right, scale=scale), left, right) is (
        scale.index(left) < scale.index(right)
    )


@given(anything, st.sampled_from(sorted(MATRIX)), st.sampled_from(sorted(set[str]().union(*MATRIX.values()))), anything)
def test_comparing_anything_answers_or_says_why(value: Any, kind: str, comparison: str, target: Any) -> None:
    leaf = measurement(kind, comparison, 1, scale=["a", "b"], tolerance=0.5)

    answer: object = "none"
    with contextlib.suppress(CompareError):
        answer = compare(leaf, value, target)
    assert answer in {True, False, "none"}
    if isinstance(value, bool) and kind == "numeric":
        assert answer == "none"


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-6, max_value=1e9), st.sampled_from(["ms", "day"]))
def test_conversion_and_back(value: float, unit: str) -> None:
    there = measurement("numeric", "LessThan", 1, unit="second", valueUnit=unit)
    back = measurement("numeric", "LessThan", 1, unit=unit, valueUnit="second")
    result = in_unit(back, in_unit(there, value))

    assume(isinstance(result, float))
    assert math.isclose(float(str(result)), value, rel_tol=1e-12)


@given(st.decimals(-1000, 1000, places=3), st.decimals(-1, 1, places=2))
def test_margin_is_what_a_person_computes(start: Decimal, margin: Decimal) -> None:
    result = moved(BaselineTarget(baseline="pinned", relative=float(margin)), float(start))

    assert result == float(start + abs(start) * margin)


def test_example_units_are_loaded_only_when_needed() -> None:
    import subprocess
    import sys

    # A plugin that is installed beside the auditor may load what it likes.
    code = (
        "import sys, importlib.metadata as metadata; metadata.entry_points = lambda group: (); "
        "import cabc.measurement; sys.exit('pint' in sys.modules or 're2' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
