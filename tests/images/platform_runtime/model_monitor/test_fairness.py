"""Figures are fairlearn's on the rows themselves; intervals are those of drawing the rows again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fair
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_runtime.model_monitor import fairness
from platform_runtime.model_monitor.reference import Profile
from platform_runtime.model_monitor.truth import TruthSketch

from tests.support.loans import Loans, logged

PARITY, ODDS = fairness.DIFFERENCES


def cells(*rows: tuple[int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([*rows, (0, 0)] if len(rows) == 2 else rows, dtype=np.int64)


def unfold(groups: dict[str, np.ndarray[tuple[int, int], np.dtype[np.int64]]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"group": group, "label": label, "decision": decision}
            for group, counts in groups.items()
            for label in (0, 1)
            for decision in (0, 1)
            for _ in range(counts[label, decision])
        ]
    )


positive = st.integers(1, 60)


@settings(max_examples=30)
@given(st.lists(st.tuples(positive, positive, positive, positive), min_size=2, max_size=4))
def test_figures_are_fairlearns(found: list[tuple[int, int, int, int]]) -> None:
    groups = {str(place): cells((a, b), (c, d)) for place, (a, b, c, d) in enumerate(found)}
    rows = unfold(groups)
    measured = fairness.measure(groups, minimum=1)
    expected = {
        PARITY: fair.demographic_parity_difference,
        ODDS: fair.equalized_odds_difference,
        fairness.RATIO: fair.demographic_parity_ratio,
    }
    for name, figure in expected.items():
        value = figure(rows["label"], rows["decision"], sensitive_features=rows["group"])
        assert measured.figures[name].value == pytest.approx(value)
        assert measured.figures[name].low <= measured.figures[name].value <= measured.figures[name].high
    assert measured.groups == {name: int(each.sum()) for name, each in groups.items()}


def test_intervals_are_those_of_fairlearns_bootstrap() -> None:
    groups = {"a": cells((60, 40), (30, 170)), "b": cells((50, 30), (40, 80))}
    rows = unfold(groups)
    frame = fair.MetricFrame(
        metrics=fair.selection_rate,
        y_true=rows["label"],
        y_pred=rows["decision"],
        sensitive_features=rows["group"],
        n_boot=1000,
        ci_quantiles=[0.025, 0.975],
        random_state=1,
    )
    ours = fairness.measure(groups).figures
    for name, (low, high) in {PARITY: frame.difference_ci(), fairness.RATIO: frame.ratio_ci()}.items():
        assert (ours[name].low, ours[name].high) == pytest.approx((low, high), abs=0.02)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        first, second = generator.binomial(300, 0.8), generator.binomial(200, 0.6)
        groups = {"a": cells((0, 0), (300 - first, first)), "b": cells((0, 0), (200 - second, second))}
        found = fairness.measure(groups).figures[PARITY]
        held += found.low <= 0.2 <= found.high
    assert 180 <= held <= 199


def test_the_same_counts_give_the_same_interval() -> None:
    groups = {"a": cells((60, 40), (30, 170)), "b": cells((50, 30), (40, 80))}
    assert fairness.measure(groups) == fairness.measure(groups)


def test_small_groups_are_counted_and_not_compared() -> None:
    groups = {"a": cells((50, 50), (50, 50)), "b": cells((50, 50), (40, 60)), "few": cells((10, 0), (19, 0))}
    found = fairness.measure(groups)
    assert found.groups["few"] == 29
    assert found.figures[fairness.RATIO].value == pytest.approx(100 / 110)
    assert fairness.measure(groups, minimum=29).figures[fairness.RATIO].value == 0
    assert fairness.measure({"a": groups["a"], "few": groups["few"]}).figures == {}


def test_rates_of_errors_need_labels_of_both_kinds_in_each_group() -> None:
    groups = {"a": cells((50, 50), (50, 50)), "b": cells((0, 0), (40, 60))}
    assert set(fairness.measure(groups).figures) == {PARITY, fairness.RATIO}


def test_nobody_gets_anything_is_fair() -> None:
    found = fairness.measure({"a": cells((40, 0), (40, 0)), "b": cells((40, 0), (40, 0))}).figures
    assert (found[PARITY].value, found[PARITY].high) == (0, 0)


def measured(profile: Profile, frame: pd.DataFrame) -> dict[str, fairness.Fairness]:
    sketch = TruthSketch(profile)
    sketch.update(frame)
    return sketch.fairness()


def test_the_model_that_does_not_know_race_is_within_the_four_fifths(loans: Loans, profile: Profile) -> None:
    found = measured(profile, logged(loans.held_out, loans.predict(loans.held_out)))
    assert found == profile.fairness
    assert found["race"].figures[fairness.RATIO].value > 0.8
    rows = loans.held_out.dropna(subset="sex")
    expected = fair.demographic_parity_ratio(
        rows["approve"], loans.predict(rows)[:, 1] > 0.5, sensitive_features=rows["sex"]
    )
    assert found["sex"].figures[fairness.RATIO].value == pytest.approx(expected)


def test_a_model_that_refuses_a_group_is_caught_beyond_doubt(loans: Loans, profile: Profile) -> None:
    answers = loans.predict(loans.held_out).copy()
    refused = (loans.held_out["race"] == "black").to_numpy() & (np.arange(len(answers)) % 2 == 0)
    answers[refused] = [0.9, 0.1]
    found = measured(profile, logged(loans.held_out, answers))
    ratio = found["race"].figures[fairness.RATIO]
    assert ratio.value < 0.8
    assert ratio.high < 0.8
    assert found["sex"].figures[fairness.RATIO].high > 0.8


def test_groups_that_training_did_not_have_are_one(loans: Loans, profile: Profile) -> None:
    frame = logged(loans.held_out, loans.predict(loans.held_out))
    frame.loc[:59, "attribute.race"] = [f"group {number}" for number in range(60)]
    assert measured(profile, frame)["race"].groups["other"] == 60
