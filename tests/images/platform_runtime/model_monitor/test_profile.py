"""A profile says what a model was judged on, whatever kind of model it is, and nothing about anybody."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from platform_runtime.model_monitor.profile import build
from platform_runtime.model_monitor.reference import Category, Number, Opaque, Profile
from sklearn import metrics
from sklearn.datasets import load_diabetes, load_iris

from tests.support.loans import FEATURES, Loans


def test_kinds_follow_from_the_values(profile: Profile) -> None:
    kinds = {feature.name: feature.kind for feature in profile.features}
    assert [name for name, kind in kinds.items() if kind == "number"] == FEATURES[:5]
    grades = next(feature for feature in profile.features if feature.name == "cons")
    assert isinstance(grades, Category)
    assert set(grades.categories) == {"1", "2", "3", "4", "5", "6"}
    assert sum(grades.counts) == profile.rows


def test_counts_are_those_of_the_rows(profile: Profile, loans: Loans) -> None:
    income = next(feature for feature in profile.features if feature.name == "appinc")
    assert isinstance(income, Number)
    values = loans.held_out["appinc"].to_numpy()
    assert (income.minimum, income.maximum) == (values.min(), values.max())
    upto = np.cumsum(income.counts)
    assert [int((values <= edge).sum()) for edge in income.edges] == upto[:-1].tolist()
    assert income.counts[-1] == 0


def test_it_survives_being_written_down(profile: Profile) -> None:
    text = json.dumps(profile.to_json(), allow_nan=False)
    assert Profile.from_json(text) == Profile.from_json(json.loads(text)) == profile
    assert len(text) < 20_000


def test_the_order_of_rows_does_not_show(loans: Loans, profile: Profile) -> None:
    rows = loans.held_out.sample(frac=1, random_state=1)
    again = build(rows, FEATURES, loans.predict(rows), rows["approve"], rows[["race", "sex"]])
    for feature, other in zip(profile.features, again.features, strict=True):
        exact = {"mean", "deviation"}
        assert feature.model_dump(exclude=exact) == other.model_dump(exclude=exact)
    assert again.fairness == profile.fairness
    assert again.performance == pytest.approx(profile.performance)


def test_performance_is_that_of_scikit_learn(loans: Loans, profile: Profile) -> None:
    truth, score = loans.held_out["approve"], loans.predict(loans.held_out)[:, 1]
    assert profile.labelled == len(truth)
    assert profile.performance == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, score > 0.5),
            "precision": metrics.precision_score(truth, score > 0.5),
            "recall": metrics.recall_score(truth, score > 0.5),
            "f1": metrics.f1_score(truth, score > 0.5),
            "brier": metrics.brier_score_loss(truth, score),
            "auc": metrics.roc_auc_score(truth, score),
        },
        abs=1e-4,
    )


def test_attributes_are_no_features(profile: Profile) -> None:
    assert profile.attributes == {"race": ("white", "black", "hispanic"), "sex": ("male", "female")}
    assert not {"race", "sex"} & {feature.name for feature in profile.features}
    # Who did not say is in no group.
    assert sum(profile.fairness["sex"].groups.values()) < profile.rows


@pytest.mark.parametrize(
    ("answers", "label", "kind", "classes"),
    [
        (np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 1], "score", ("0", "1")),
        (np.array([[0.9, 0.1], [0.2, 0.8]]), ["no", "yes"], "score", ("no", "yes")),
        (np.array([[0.9, 0.1], [0.2, 0.8]]), None, "score", ("0", "1")),
        (pd.DataFrame({"probability": [0.1, 0.8]}), [False, True], "score", ("0", "1")),
        (np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]), None, "scores", ("0", "1", "2")),
        (np.array([0, 1]), [1, 1], "class", ("0", "1")),
        (np.array(["cat", "dog"], dtype=object), ["dog", "cow"], "class", ("cat", "cow", "dog")),
        (np.array([1.5, 12.25]), [1.0, 12.5], "number", ()),
        (np.array([3.0, 4.0]), [3.5, 4.5], "number", ()),
        (np.arange(60), None, "number", ()),
    ],
)
def test_outcome_follows_from_answers_and_labels(answers: Any, label: Any, kind: str, classes: Any) -> None:
    outcome = build(pd.DataFrame({"a": range(len(answers))}), ["a"], answers, label).outcome
    assert (outcome.kind, outcome.classes) == (kind, classes)


def test_more_than_two_classes_and_quantities() -> None:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    iris = load_iris(as_frame=True)
    model = LogisticRegression(max_iter=1000).fit(iris.data, iris.target)
    found = build(iris.data, list(iris.data), model.predict_proba(iris.data), iris.target)
    assert found.performance["accuracy"] == metrics.accuracy_score(iris.target, model.predict(iris.data))
    assert found.performance["f1"] == pytest.approx(
        metrics.f1_score(iris.target, model.predict(iris.data), average="macro")
    )
    assert found.calibration_error is None
    illness = load_diabetes(as_frame=True)
    line = LinearRegression().fit(illness.data, illness.target)
    found = build(illness.data, list(illness.data), line.predict(illness.data), illness.target)
    assert found.outcome.kind == "number"
    assert found.performance == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(illness.target, line.predict(illness.data)),
            "rmse": metrics.root_mean_squared_error(illness.target, line.predict(illness.data)),
        }
    )


def test_values_of_every_kind() -> None:
    frame = pd.DataFrame(
        {
            "postcode": ["00100", "00200", None],
            "flag": [True, False, True],
            "tags": [["a"], [], None],
            "day": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
            "nothing": [None, None, None],
        }
    )
    found = {feature.name: feature for feature in build(frame, list(frame), [0.25, 0.5, 0.75]).features}
    assert found["postcode"].model_dump(include={"kind", "numeric", "categories", "missing"}) == {
        "kind": "category",
        "numeric": False,
        "categories": ("00100", "00200"),
        "missing": 1,
    }
    assert found["flag"].model_dump(include={"categories", "counts"}) == {"categories": ("1", "0"), "counts": (2, 1, 0)}
    assert isinstance(found["tags"], Opaque)
    assert isinstance(found["day"], Opaque)
    assert found["nothing"].missing == 3


def test_many_categories_and_groups_are_bounded() -> None:
    frame = pd.DataFrame({"name": [f"n{number}" for number in range(3000)]})
    found = build(frame, ["name"], np.linspace(0, 1, 3000), None, {"town": frame["name"]})
    (feature,) = found.features
    assert isinstance(feature, Category)
    assert (len(feature.categories), feature.counts[-1]) == (100, 2900)
    assert len(found.attributes["town"]) == 20
    assert found.fairness["town"].groups["other"] == 2980


@pytest.mark.parametrize(
    ("features", "answers", "label", "reason"),
    [
        (["a", "b", "c"], [0.5, 0.25], None, "the frame lacks the features b, c"),
        (["a"], [0.5], None, "found frame 2, prediction 1"),
        (["a"], [0.5, 0.25], [1], "found frame 2, prediction 2, label 1"),
        (["a"], [[1, 2], [3, 4]], None, r"2 parts \(0, 1\) that are no probabilities"),
    ],
)
def test_what_does_not_fit_is_refused(features: list[str], answers: Any, label: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build(pd.DataFrame({"a": [1.0, 2.0]}), features, answers, label)
