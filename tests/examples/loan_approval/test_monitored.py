"""What the model monitor makes of a healthy loop, and of the shifted cases of scenario `drift`."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import joblib
import pandas as pd
import pytest
from platform_runtime.model_monitor import profile
from platform_runtime.model_monitor.report import Limits, Report, Window, measure

from examples.loan_approval import pipeline
from tests.examples.loan_approval.test_steps import Trained, train

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
WINDOW = Window(model=pipeline.MODEL, version="1", start=NOW - dt.timedelta(hours=1), end=NOW, labels_since=NOW)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("trained"), unfair=False)


@pytest.fixture(scope="module")
def rows(trained: Trained) -> pd.DataFrame:
    return pd.read_parquet(Path(trained.artifacts["held_out"].path))


def report(trained: Trained, rows: pd.DataFrame, asked: pd.DataFrame) -> Report:
    fitted = joblib.load(trained.artifacts["model"].path)
    answers = fitted.predict_proba(rows[pipeline.FEATURES])
    reference = profile.build(rows, pipeline.FEATURES, answers, rows["approve"], rows[pipeline.ATTRIBUTES])
    said = fitted.predict_proba(asked[pipeline.FEATURES])
    frame = asked[pipeline.FEATURES].add_prefix("input.").reset_index(drop=True)
    frame = frame.assign(**{"output.0": said[:, 0], "output.1": said[:, 1]})
    return measure(WINDOW, reference, [frame], [], limits=Limits())


def drifted(found: Report) -> set[str]:
    return {feature.name for feature in found.features if feature.drift and feature.drift.detected}


def test_the_requests_of_a_loop_are_no_drift(trained: Trained, rows: pd.DataFrame) -> None:
    # All rows by the step `predict` over both protocols and by the loop, a few singly, and one row again and again
    # while the version came up.
    asked = pd.concat([rows, rows, rows, rows.head(5), rows.head(5), *[rows.head(1)] * 60])
    found = report(trained, rows, asked)
    assert drifted(found) == set()
    assert found.prediction is not None
    assert found.prediction.drift is not None
    assert not found.prediction.drift.detected


def test_shifted_cases_are_drift_although_the_window_has_others_too(trained: Trained, rows: pd.DataFrame) -> None:
    flags = [name for name in pipeline.FEATURES if set(rows[name]) <= {0.0, 1.0}]
    others = [name for name in pipeline.FEATURES if name not in flags]
    shifted = rows.copy()
    shifted[flags] = 1 - rows[flags]
    shifted[others] = 3 * rows[others]
    found = report(trained, rows, pd.concat([rows, rows, rows, shifted, shifted, shifted]))
    assert set(others) - {"mortg"} <= drifted(found)
    assert found.drift_share is not None
    assert found.drift_share > 0.5
