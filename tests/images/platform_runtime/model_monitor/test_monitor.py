"""What is served is measured, what is gone is forgotten, and one version's trouble is nobody else's."""

from __future__ import annotations

import datetime as dt
import re

import pandas as pd
import pytest
from platform_runtime.model_monitor import exposition
from platform_runtime.model_monitor.monitor import Monitor
from platform_runtime.model_monitor.profile import build
from platform_runtime.model_monitor.reference import Profile
from platform_runtime.model_monitor.registry import RegistryError, report_path
from platform_runtime.model_monitor.report import Report
from platform_runtime.model_monitor.settings import Settings

from tests.support.loans import FEATURES
from tests.support.model_monitor import NOON, House

PLACE = ("loan", "1")


def test_a_version_is_measured_over_its_windows(house: House, rows: pd.DataFrame, profile: Profile) -> None:
    house.log.put("1", rows)
    (report,) = house.monitor.run()
    assert (report.rows, report.labelled_rows, report.reference_rows) == (len(rows), len(rows), profile.rows)
    assert report.run_id == "run-1"
    assert report.performance == report.reference_performance == profile.performance
    assert report.drift_share == 0
    assert report.label_delay_seconds == 60
    assert {change for each in report.fairness_drift.values() for change in each.values()} == {0}
    (window,) = house.log.windows
    assert (window.start, window.end) == (NOON - dt.timedelta(hours=1), NOON)
    assert window.labels_since == NOON - dt.timedelta(days=7)
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_metrics_are_the_report(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows.assign(**{"input.appinc": rows["input.appinc"] * 3}))
    (report,) = house.monitor.run()
    of = {"model": "loan", "version": "1"}
    assert house.value("model_window_rows", **of) == len(rows)
    assert house.value("model_drift_detected", **of, feature="appinc") == 1
    assert house.value("model_drift_detected", **of, feature="hrat") == 0
    assert house.value("model_drift_share", **of) == pytest.approx(1 / len(FEATURES))
    score, limit = (
        house.value(f"model_drift_{what}", **of, feature="appinc", method="ks") for what in ("score", "threshold")
    )
    assert score is not None
    assert limit is not None
    assert score > limit
    assert (
        house.value("model_quality_ratio", **of, feature="appinc", check="range") == report.features[1].quality["range"]
    )
    assert house.value("model_performance", **of, metric="auc") == report.performance["auc"]
    assert house.value("model_calibration_error", **of) == report.calibration_error
    figure = report.fairness["race"].figures["disparate_impact_ratio"]
    by = {**of, "metric": "disparate_impact_ratio", "attribute": "race"}
    assert [house.value(f"model_fairness{end}", **by) for end in ("", "_low", "_high", "_drift")] == [
        figure.value, figure.low, figure.high, 0,
    ]  # fmt: skip
    assert house.value("model_fairness_group_rows", **of, attribute="race", group="black") == 51
    assert house.value("model_business", **of, metric="profit") == 2.5
    assert house.value("model_monitor_last_success_timestamp_seconds") == NOON.timestamp()


def test_every_series_is_documented_with_its_labels(house: House, rows: pd.DataFrame) -> None:
    from components._core import paths

    house.log.put("1", rows)
    house.monitor.run()
    table = (paths.CHECKOUT / "docs" / "reference" / "model-metrics.md").read_text()
    told = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in re.findall(r"^\| `(model_\w+)` \|([^|]*)\|", table, re.MULTILINE)
    }
    for name, labels in {(name, frozenset(label for label, _ in labels)) for name, labels in house.samples()}:
        assert told[name] == set(labels) - {"model", "version"}, name
    assert set(exposition.METRICS) <= set(told)


def test_too_few_rows_are_shown_and_not_judged(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows.head(99))
    (report,) = house.monitor.run()
    assert (report.rows, report.labelled_rows, report.judged) == (99, 99, False)
    names = {name for name, _ in house.samples() if not name.startswith("model_monitor")}
    assert {"model_window_rows", "model_window_labelled_rows"} <= names
    assert not {"model_drift_detected", "model_quality_ratio", "model_performance"} & names
    assert house.runs.stored == []
    house.log.put("1", rows.head(100))
    assert house.monitor.run()[0].judged


def test_performance_comes_with_the_labels(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    house.log.labelled[PLACE] = rows.head(0)
    (report,) = house.monitor.run()
    assert (report.judged, report.performance, report.label_delay_seconds) == (True, {}, None)
    house.log.labelled[PLACE] = rows.assign(delay=86_400.0)
    house.clock.forward(minutes=1)
    (report,) = house.monitor.run()
    assert report.performance["accuracy"] > 0.8
    assert report.label_delay_seconds == 86_400


def test_what_is_not_asked_any_more_disappears(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    house.monitor.run()
    house.clock.forward(minutes=59)
    house.log.put("2", rows)
    house.monitor.run()
    assert {report.window.version for report in house.monitor.reports} == {"1", "2"}
    house.clock.forward(minutes=2)
    house.monitor.run()
    assert {dict(labels).get("version") for _, labels in house.samples()} == {None, "2"}
    assert house.runs.current == {("loan", "2")}
    assert house.monitor.report("loan", "1") is None


def test_reports_are_kept_from_time_to_time_and_when_asked(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    for _ in range(7):
        house.monitor.run()
        house.clock.forward(minutes=5)
        house.log.last[PLACE] = house.clock()
    assert [report.window.end.minute for report in house.runs.stored] == [0, 15, 30]
    house.monitor.run(store=True)
    assert len(house.runs.stored) == 4
    assert report_path(house.runs.stored[0]) == "monitoring/20260301T110000Z-20260301T120000Z.json"


@pytest.mark.parametrize("version", ["1", "3"])
def test_probes_that_are_left_out_can_be_seen(house: House, rows: pd.DataFrame, version: str) -> None:
    house.log.put(version, rows)
    house.log.probe_rows = 7
    house.monitor.run()
    assert house.value("model_window_probe_rows", model="loan", version=version) == 7


def test_a_version_without_a_profile_is_named(house: House, rows: pd.DataFrame) -> None:
    house.log.put("3", rows)
    house.monitor.run()
    of = {"model": "loan", "version": "3"}
    assert house.value("model_reference_rows", **of) == 0
    assert house.value("model_window_rows", **of) == len(rows)
    assert house.value("model_monitor_failures_total", reason="no_reference") == 1
    # Its owner has to act; the monitor works.
    assert house.monitor.last_success == NOON


def test_trouble_is_counted_by_its_kind_and_costs_nobody_else(house: House, rows: pd.DataFrame) -> None:
    house.runs.profiles["2"] = RegistryError("MLflow is away")
    house.runs.profiles["4"] = ZeroDivisionError("ours")
    for version in ("1", "2", "4"):
        house.log.put(version, rows)
    assert [report.window.version for report in house.monitor.run()] == ["1"]
    assert dict(house.monitor.failures) == {"log": 0, "registry": 1, "no_reference": 0, "measure": 1}
    assert house.monitor.last_success is None
    assert ("model_monitor_last_success_timestamp_seconds", frozenset()) not in house.samples()
    house.log.down = True
    assert house.monitor.run() == []
    assert house.monitor.failures["log"] == 1
    # What was known stays until somebody knows better.
    assert [report.window.version for report in house.monitor.reports] == ["1"]


def test_a_report_that_cannot_be_kept_is_tried_again(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    house.runs.full = True
    assert house.monitor.run()
    assert (house.monitor.failures["registry"], house.monitor.last_success) == (1, None)
    house.runs.full = False
    house.monitor.run()
    assert len(house.runs.stored) == 1


def test_measuring_one_version_says_nothing_of_all(house: House, rows: pd.DataFrame) -> None:
    house.log.put("1", rows)
    house.log.put("1", rows, model="other")
    (report,) = house.monitor.run("other")
    assert report.window.model == "other"
    assert house.monitor.last_success is None
    assert house.monitor.run("loan", "9") == []


def test_series_are_bounded(house: House, rows: pd.DataFrame) -> None:
    monitor = Monitor(
        house.log, house.runs, Settings("postgresql://nowhere", "http://nowhere", max_features=2), house.clock
    )
    house.log.put("1", rows.assign(**{"input.mortg": 9.0}))
    monitor.run()
    house.monitor = monitor
    drifted = {
        dict(labels)["feature"]: value
        for (name, labels), value in house.samples().items()
        if name == "model_drift_detected"
    }
    assert drifted == {"loanamt": 0, "appinc": 0, "other": 1, "prediction": 0}
    assert house.value("model_quality_ratio", model="loan", version="1", feature="other", check="category") == 1


def test_a_model_that_answers_with_classes(house: House) -> None:
    frame = pd.DataFrame({"a": range(200)})
    answers = pd.Series(["cat", "dog"] * 100, dtype=object)
    house.runs.profiles["1"] = build(frame, ["a"], answers, answers)
    house.log.put("1", pd.DataFrame({"input.a": range(200), "output.0": answers, "label": "cat"}))
    (report,) = house.monitor.run()
    assert report.performance["accuracy"] == 0.5
    assert report.calibration_error is None
