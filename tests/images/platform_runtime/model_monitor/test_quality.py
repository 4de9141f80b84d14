"""What is wrong with values is counted by what is wrong: missing, of another type, beyond the range, a new category."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from platform_runtime.model_monitor.profile import build
from platform_runtime.model_monitor.reference import Profile
from platform_runtime.model_monitor.report import quality
from platform_runtime.model_monitor.sketch import WindowSketch

from tests.support.loans import FEATURES, Loans, logged


def shares(profile: Profile, frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    window = WindowSketch(profile)
    window.update(frame)
    found = {name: quality(sketch) for name, sketch in {**window.features, "prediction": window.prediction}.items()}
    return {
        name: {check: share for check, share in each.items() if share}
        for name, each in found.items()
        if any(each.values())
    }


@pytest.fixture
def frame(loans: Loans) -> pd.DataFrame:
    return logged(loans.held_out, loans.predict(loans.held_out)).astype({"input.appinc": object, "input.cons": object})


def test_the_rows_of_the_profile_are_all_right(profile: Profile, frame: pd.DataFrame) -> None:
    assert shares(profile, frame) == {}


@pytest.mark.parametrize(
    ("feature", "value", "check"),
    [
        ("appinc", None, "missing"),
        ("appinc", float("nan"), "missing"),
        ("appinc", "much", "type"),
        ("appinc", [1, 2], "type"),
        ("appinc", {"amount": 1}, "type"),
        ("appinc", 1e9, "range"),
        ("appinc", -1, "range"),
        ("appinc", float("inf"), "range"),
        ("cons", 7, "category"),
        ("cons", 1.5, "category"),
        ("cons", "good", "type"),
        ("cons", None, "missing"),
    ],
)
def test_a_quarter_of_wrong_values_is_a_quarter(
    profile: Profile, frame: pd.DataFrame, feature: str, value: object, check: str
) -> None:
    values = frame[f"input.{feature}"].tolist()
    quarter = len(values) // 4
    column = pd.Series([value] * quarter + values[quarter:], dtype=object)
    expected = {feature: {check: pytest.approx(quarter / len(values), rel=1e-9)}}
    assert shares(profile, frame.assign(**{f"input.{feature}": column})) == expected


def test_a_feature_that_nobody_sends_is_missing(profile: Profile, frame: pd.DataFrame) -> None:
    assert shares(profile, frame.drop(columns="input.unem")) == {"unem": {"missing": 1.0}}


def test_rows_without_names_are_in_the_order_of_the_features(profile: Profile, frame: pd.DataFrame) -> None:
    unnamed = frame.rename(columns={f"input.{name}": f"input.{place}" for place, name in enumerate(FEATURES)})
    assert shares(profile, unnamed) == {}
    assert shares(profile, pd.concat([frame, unnamed], ignore_index=True)) == {}


def test_answers_of_another_shape_are_no_answers(profile: Profile, frame: pd.DataFrame) -> None:
    assert shares(profile, frame.drop(columns=["output.0", "output.1"])) == {"prediction": {"missing": 1.0}}


def test_texts_that_were_rare_at_training_are_no_news() -> None:
    names = [f"n{number}" for number in range(150)] + ["common"] * 150
    profile = build(pd.DataFrame({"name": names}), ["name"], np.linspace(0, 1, 300))
    answers = {"output.0": np.linspace(0, 1, 300)}
    assert shares(profile, pd.DataFrame({"input.name": names, **answers})) == {}
    others = pd.DataFrame({"input.name": ["unheard"] * 300, **answers})
    assert shares(profile, others)["name"]["category"] == pytest.approx(1 - 51 / 300)
