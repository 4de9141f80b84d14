"""Performance and calibration from counts are those from rows, however labels come."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from platform_runtime.model_monitor.profile import build
from platform_runtime.model_monitor.reference import Profile
from platform_runtime.model_monitor.truth import TruthSketch
from sklearn import metrics

from tests.support.loans import Loans, logged


def binary(size: int = 10) -> Profile:
    frame = pd.DataFrame({"a": range(size)})
    return build(frame, ["a"], np.linspace(0.05, 0.95, size), [0, 1] * (size // 2))


def seen(profile: Profile, *frames: pd.DataFrame) -> TruthSketch:
    found = TruthSketch(profile)
    for frame in frames:
        found.update(frame)
    return found


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=20, max_size=200), st.integers(1, 6))
def test_figures_are_those_of_the_rows_however_they_are_cut(rows: list[tuple[float, bool]], parts: int) -> None:
    scores = np.round([score for score, _ in rows], 4) + 0.00005  # in the middle of a bin: ties stay what they are
    scores = np.clip(scores, 0, 0.99995)
    labels = np.array([int(label) for _, label in rows])
    frame = pd.DataFrame({"output.0": scores, "label": labels})
    cuts = [frame.iloc[part::parts] for part in range(parts)]
    found = seen(binary(), *cuts)
    performance = found.performance()
    assert performance["accuracy"] == pytest.approx(metrics.accuracy_score(labels, scores > 0.5))
    assert performance["brier"] == pytest.approx(((scores - labels) ** 2).mean())
    assert ("auc" in performance) == (len(set(labels)) == 2)
    if "auc" in performance:
        assert performance["auc"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-9)
    bins = np.minimum((scores * 10).astype(int), 9)
    gaps = [abs(scores[bins == place].sum() - labels[bins == place].sum()) for place in range(10)]
    assert found.calibration_error() == pytest.approx(sum(gaps) / len(labels))


def test_a_model_that_says_the_rate_is_calibrated_and_a_surer_one_is_not() -> None:
    generator = np.random.default_rng(0)
    chance = generator.random(20_000)
    labels = (generator.random(20_000) < chance).astype(int)
    surer = 1 / (1 + np.exp(-4 * np.log(chance / (1 - chance))))
    honest = seen(binary(), pd.DataFrame({"output.0": chance, "label": labels})).calibration_error()
    boasting = seen(binary(), pd.DataFrame({"output.0": surer, "label": labels})).calibration_error()
    assert honest is not None
    assert boasting is not None
    assert honest < 0.02
    assert boasting > 0.1


@pytest.mark.parametrize("labels", [[0, 1], [0.0, 1.0], [False, True], ["0", "1"], [None, 1], [0, float("nan")]])
def test_labels_of_every_spelling(labels: list[Any]) -> None:
    frame = pd.DataFrame({"output.0": [0.1, 0.9], "label": pd.Series(labels, dtype=object)})
    found = seen(binary(), frame)
    assert found.labelled == sum(label is not None and label == label for label in labels)  # noqa: PLR0124 (NaN)
    assert found.performance()["accuracy"] == 1


def test_labels_that_are_no_class_are_counted_apart() -> None:
    labels = pd.Series([1, 2, "maybe", ["a"]], dtype=object)
    found = seen(binary(), pd.DataFrame({"output.0": [0.9] * 4, "label": labels}))
    assert (found.labelled, found.foreign) == (1, 2)


def test_no_labels_no_figures(loans: Loans, profile: Profile) -> None:
    frame = logged(loans.held_out, loans.predict(loans.held_out)).drop(columns="label")
    found = seen(profile, frame, frame.iloc[:0])
    assert (found.labelled, found.performance(), found.calibration_error()) == (0, {}, None)
    # Who got what is known all the same.
    assert set(found.fairness()["race"].figures) == {"demographic_parity_difference", "disparate_impact_ratio"}


def test_a_broken_model_shows_when_labels_come(loans: Loans, profile: Profile) -> None:
    rows = loans.held_out
    right, wrong = (
        seen(profile, logged(rows, answers)) for answers in (loans.predict(rows), loans.predict(rows)[:, ::-1])
    )
    assert right.performance() == pytest.approx(profile.performance)
    assert wrong.performance()["accuracy"] == pytest.approx(1 - right.performance()["accuracy"], abs=1e-9)
    assert wrong.performance()["auc"] == pytest.approx(1 - right.performance()["auc"], abs=1e-3)


def test_classes_and_quantities_are_counted_too() -> None:
    frame = pd.DataFrame({"a": range(4)})
    animals = build(frame, ["a"], np.array(["cat", "dog", "cow", "cat"], dtype=object), ["cat", "dog", "cow", "dog"])
    found = seen(animals, pd.DataFrame({"output.0": ["cat", "dog", "pig"], "label": ["cat", "cow", "cow"]}))
    assert (found.labelled, found.performance()["accuracy"]) == (2, 0.5)
    prices = build(frame, ["a"], np.array([1.5, 2.5, 3.5, 4.5]), [1.0, 2.0, 3.0, 4.0])
    found = seen(prices, pd.DataFrame({"output.0": [1.0, 5.0, 2.0], "label": [2.0, None, 2.0]}))
    assert found.performance() == pytest.approx({"mae": 0.5, "rmse": np.sqrt(0.5)})
