"""Digests mean the value: the same for whoever computes them, and after a way through `jsonb`."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from cabc_platform.trace.canonical import data_digest
from hypothesis import example, given
from hypothesis import strategies as st
from platform_runtime.prediction_log.canonical import canonical, digest, keyed
from platform_runtime.prediction_log.marking import Marking

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)


@given(VALUES)
@example({"\U0001f600": 1, "\ufb33": 2})
@example([1e21, 1e-7, 1e-6, -0.0, 123456789012345680000, 5e-324, 2**53, 1.5e300])
def test_who_traces_a_prediction_computes_the_same(value: Any) -> None:
    assert digest(value) == data_digest(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_spelled_as_the_standard_says(number: float) -> None:
    assert canonical(number) == rfc8785.dumps(number)


def test_what_json_has_no_word_for_is_null() -> None:
    assert canonical([float("nan"), float("inf")]) == b"[null,null]"


def test_borders_of_what_is_hashed_count() -> None:
    assert keyed(b"k", b"ab", b"c") != keyed(b"k", b"a", b"bc")


RULES: Any = {"loan": {"race": "hash", "name": "drop"}, "*": {"iban": "drop"}, "strict": {"race": "drop"}}


@pytest.fixture
def marking() -> Marking:
    return Marking(RULES, b"0123456789abcdef")


def test_columns_are_hashed_or_dropped(marking: Marking) -> None:
    row = {"race": "a", "name": "Ann", "iban": "X", "income": 1.5}
    found = marking.marked(row, marking.rules("service", "loan"))
    assert found
    assert found.keys() == {"race", "income"}
    assert found["race"].startswith("hmac-sha256:")
    assert "a" not in json.dumps({"income": found["income"]})


def test_equal_values_stay_equal_within_a_column_and_a_key(marking: Marking) -> None:
    assert marking.hashed("race", "a") == marking.hashed("race", "a")
    assert marking.hashed("race", "a") != marking.hashed("sex", "a")
    assert marking.hashed("race", 1) == marking.hashed("race", 1.0)
    assert marking.hashed("race", "a") != Marking(RULES, b"another key of 16").hashed("race", "a")
    assert marking.hashed("race", None) is None


def test_marking_twice_is_marking_once(marking: Marking) -> None:
    rules = marking.rules("loan")
    once = marking.marked({"race": "a"}, rules)
    assert marking.marked(once, rules) == once


def test_the_stricter_of_two_rules_holds(marking: Marking) -> None:
    assert marking.rules("loan", "strict")["race"] == "drop"
    assert marking.rules("strict", "loan")["race"] == "drop"


def test_rows_without_names_are_only_kept_where_there_are_no_rules(marking: Marking) -> None:
    assert marking.marked({"0": "a", "1": 5}, marking.rules("loan")) == {}
    assert marking.marked({"0": "a", "1": 5}, {}) == {"0": "a", "1": 5}
