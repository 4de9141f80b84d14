"""Scores are those of evidently and scipy; thresholds keep chance out and let nothing that matters through."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_runtime.model_monitor import drift
from platform_runtime.model_monitor.drift import Drift, Thresholds
from platform_runtime.model_monitor.profile import build
from platform_runtime.model_monitor.reference import Profile
from platform_runtime.model_monitor.sketch import WindowSketch
from scipy.stats import ks_2samp

from tests.support.loans import FEATURES, Loans, logged

with warnings.catch_warnings():
    # Of numpy, for names that evidently still uses when it is imported.
    warnings.simplefilter("ignore", DeprecationWarning)
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, ks_stat_test, psi_stat_test
    from evidently.legacy.core import ColumnType

NUMBERS = FEATURES[:5]


def pairs(minimum: int = 0) -> st.SearchStrategy[tuple[Any, Any]]:
    """Two counts of the same bins."""
    one = st.integers(minimum, 500)
    return (
        st.lists(st.tuples(one, one), min_size=2, max_size=40)
        .map(lambda found: (np.array([a for a, _ in found]), np.array([b for _, b in found])))
        .filter(lambda found: found[0].any() and found[1].any())
    )


def compare(profile: Profile, rows: pd.DataFrame, answers: Any) -> dict[str, Drift]:
    window = WindowSketch(profile)
    window.update(logged(rows, answers))
    sketches = {**window.features, "prediction": window.prediction}
    found = {name: drift.judge(sketch, Thresholds(), len(sketches)) for name, sketch in sketches.items()}
    return {name: each for name, each in found.items() if each}


def as_rows(bins: Any) -> pd.Series[Any]:
    return pd.Series(np.repeat(np.arange(len(bins)), bins))


@given(pairs())
def test_psi_and_jensen_shannon_are_those_of_evidently(found: tuple[Any, Any]) -> None:
    before, now = found
    # It fills empty bins only where one side has rows; the bins that neither has it never sees.
    filled = (before + now) > 0
    rows = as_rows(before), as_rows(now)
    for test, ours in ((psi_stat_test, drift.psi), (jensenshannon_stat_test, drift.jensen_shannon)):
        theirs = test(*rows, feature_type=ColumnType.Categorical, threshold=None).drift_score
        assert ours(before[filled], now[filled]) == pytest.approx(theirs, abs=1e-9)


@given(pairs())
def test_ks_of_bins_is_that_of_scipy(found: tuple[Any, Any]) -> None:
    before, now = found
    # Of values that are the bins themselves nothing is lost.
    assert drift.ks(before, now) == pytest.approx(ks_2samp(as_rows(before), as_rows(now)).statistic)


@pytest.mark.parametrize("feature", NUMBERS)
@pytest.mark.parametrize("size", [200, 800])
def test_ks_over_edges_is_close_below_the_real_one(profile: Profile, loans: Loans, feature: str, size: int) -> None:
    rows = loans.seen.sample(size, random_state=size)
    score = compare(profile, rows, loans.predict(rows))[feature].score
    real = ks_2samp(loans.held_out[feature], rows[feature]).statistic
    assert score <= real + 1e-12
    assert score >= real - 0.03


@given(pairs())
def test_scores_are_distances(found: tuple[Any, Any]) -> None:
    before, now = found
    for score, most in ((drift.psi, 20), (drift.jensen_shannon, np.sqrt(np.log(2)) + 1e-9), (drift.ks, 1)):
        there, back = score(before, now), score(now, before)
        assert there == pytest.approx(back)
        assert -1e-12 <= there <= most
        assert score(before, before) == pytest.approx(0)
        assert score(before, now * 3) == pytest.approx(there)


@given(pairs(minimum=1), st.integers(2, 20))
def test_joining_bins_keeps_all_rows_and_hides_no_more_than_it_must(found: tuple[Any, Any], bins: int) -> None:
    before, now = found
    joined = drift.equal_weights(before, now, bins)
    assert [side.sum() for side in joined] == [before.sum(), now.sum()]
    assert 1 <= len(joined[0]) == len(joined[1]) <= bins
    assert (joined[0] > 0).all()
    # Joining never makes a difference larger.
    assert drift.psi(*joined) <= drift.psi(before, now) + 1e-9


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([150, 1000, 5000]))
def test_bins_are_the_same_however_rows_are_cut(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": generator.normal(size=size), "b": generator.integers(0, 5, size)})
    profile = build(frame, ["a", "b"], generator.random(size))
    rows = frame.add_prefix("input.").assign(**{"output.0": generator.random(size)})
    whole, parts = WindowSketch(profile), WindowSketch(profile)
    whole.update(rows)
    for first in range(7):
        parts.update(rows.iloc[first::7])
    for name, sketch in whole.features.items():
        assert (sketch.counts == parts.features[name].counts).all()
        assert sketch.counts.sum() == size
    assert (whole.prediction.counts == parts.prediction.counts).all()


@pytest.mark.parametrize(
    ("reference", "window", "method"),
    [(500, 500, "ks"), (500, 5000, "ks"), (5000, 500, "ks"), (5000, 5000, "psi")],
)
def test_method_follows_type_and_size(reference: int, window: int, method: str) -> None:
    generator = np.random.default_rng(0)

    def rows(size: int) -> pd.DataFrame:
        return pd.DataFrame({"number": generator.normal(size=size), "flag": generator.integers(0, 2, size)})

    profile = build(rows(reference), ["number", "flag"], generator.random(reference))
    sketch = WindowSketch(profile)
    sketch.update(rows(window).add_prefix("input."))
    found = {name: drift.judge(each, Thresholds(), 3) for name, each in sketch.features.items()}
    assert {name: each.method for name, each in found.items() if each} == {"number": method, "flag": "jensenshannon"}
    assert {(each.rows, each.reference_rows) for each in found.values() if each} == {(window, reference)}
    assert not any(each.detected for each in found.values() if each)


def test_other_rows_of_the_same_source_are_no_drift(profile: Profile, loans: Loans) -> None:
    alarms = 0
    for seed in range(200):
        rows = loans.seen.sample(300, random_state=seed)
        alarms += any(each.detected for each in compare(profile, rows, loans.predict(rows)).values())
    # Profile and windows are of the same 1989 decisions; one in a hundred would be by chance.
    assert alarms <= 6


@pytest.mark.parametrize("feature", NUMBERS)
def test_a_moved_number_is_found_and_no_other(profile: Profile, loans: Loans, feature: str) -> None:
    rows = loans.held_out.copy()
    rows[feature] += 0.75 * rows[feature].std()
    found = compare(profile, rows, loans.predict(loans.held_out))
    assert [name for name, each in found.items() if each.detected] == [feature]
    verdict = ks_stat_test(
        loans.held_out[feature], rows[feature], feature_type=ColumnType.Numerical, threshold=0.01 / len(found)
    )
    assert verdict.drifted


@pytest.mark.parametrize("feature", ["cons", "mortg", "fixadj"])
def test_another_share_of_categories_is_found(profile: Profile, loans: Loans, feature: str) -> None:
    rows = loans.held_out.copy()
    rows[feature] = rows[feature].to_numpy()[::-1]
    rows.iloc[:200, rows.columns.get_loc(feature)] = rows[feature].mode()[0] + 1
    found = compare(profile, rows, loans.predict(loans.held_out))
    assert [name for name, each in found.items() if each.detected] == [feature]


def test_other_answers_are_found_though_no_input_moved(profile: Profile, loans: Loans) -> None:
    answers = loans.predict(loans.held_out)[:, ::-1]
    found = compare(profile, loans.held_out, answers)
    assert [name for name, each in found.items() if each.detected] == ["prediction"]


def test_large_windows_are_not_drifted_for_what_does_not_matter() -> None:
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"a": generator.normal(size=50_000)})
    profile = build(frame, ["a"], generator.random(50_000))

    def score(shift: float) -> Drift:
        sketch = WindowSketch(profile)
        sketch.update(pd.DataFrame({"input.a": generator.normal(shift, size=200_000)}))
        found = drift.judge(sketch.features["a"], Thresholds(), 2)
        assert found
        return found

    # Any test of significance is sure about a twentieth of a deviation in so many rows.
    assert ks_2samp(frame["a"], generator.normal(0.05, size=200_000)).pvalue < 1e-6
    assert not score(0.05).detected
    assert score(0.5).detected


def test_nothing_to_compare_is_no_score(profile: Profile) -> None:
    sketch = WindowSketch(profile)
    sketch.update(pd.DataFrame({"input.appinc": [None, "much"]}))
    assert drift.judge(sketch.features["appinc"], Thresholds(), 1) is None
    assert drift.judge(sketch.prediction, Thresholds(), 1) is None
