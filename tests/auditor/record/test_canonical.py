"""Canonical JSON: the same text for the same value, as others would write it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
import rfc8785
from cabc.record.canonical import canonical, canonical_model, instant_text
from cabc.record.types import Observation
from hypothesis import given
from hypothesis import strategies as st

from tests.support import cabc as sample

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_spells_everything_as_an_independent_implementation_of_the_rfc_does(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value).decode()


@given(_NUMBERS, _TEXT)
def test_the_quick_way_for_models_gives_the_same_text(value: float, reason: str) -> None:
    model = sample.observation(value=value, reason=reason)
    assert canonical_model(model) == canonical(model.model_dump(mode="json"))


@given(_JSON)
def test_a_body_read_back_is_spelled_the_same(value: Any) -> None:
    text = canonical_model(sample.observation(value=value))
    assert canonical_model(Observation.model_validate_json(text)) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (2.0**60, "1152921504606847000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (5e-324, "5e-324"),
        (-12.5, "-12.5"),
    ],
)
def test_spells_doubles_as_ecmascript_does(number: float, text: str) -> None:
    assert canonical(number) == text


def test_sorts_names_by_utf16_units() -> None:
    assert canonical({"\U0001f600": 1, "\ufb33": 2}) == '{"\U0001f600":1,"\ufb33":2}'


def test_keeps_every_digit_of_a_large_integer() -> None:
    assert json.loads(canonical_model(sample.observation(value=2**63 + 1)))["value"] == 2**63 + 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_refuses_what_json_cannot_say(value: float) -> None:
    with pytest.raises(ValueError, match="NaN"):
        canonical(value)


@given(st.datetimes(min_value=dt.datetime(1970, 1, 1), timezones=st.just(dt.UTC)))  # noqa: DTZ001 (hypothesis adds it)
def test_spells_instants_as_the_models_do(at: dt.datetime) -> None:
    assert sample.waiver(created=at).model_dump(mode="json")["created"] == instant_text(at)
