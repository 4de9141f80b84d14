"""The monitor's figures have to be those that anybody computes from the same rows, and to reach Prometheus."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.loop import decisions, figures
from mlops.loop.context import Context
from mlops.loop.decisions import Case, Decision
from mlops.loop.ledger import StageError
from mlops.loop.stages import log, watch
from tests.mlops.loop.conftest import Begin
from tests.support.watching import Watched


@pytest.fixture
def context(begin: Begin, platform: Watched) -> Context:
    begun = begin(platform)
    log.check(begun)
    return begun


def failure(context: Context) -> StageError:
    with pytest.raises(StageError) as caught:
        watch.check(context)
    assert caught.value.stage == "watch"
    return caught.value


def test_figures_agree_and_appear_only_after_the_labels(context: Context, platform: Watched) -> None:
    watch.check(context)
    facts = {fact.name: fact.found for fact in context.ledger.facts if fact.stage == "watch"}
    assert facts["labelled rows before any label"] == 0
    assert facts["performance before any label"] == {}
    assert facts["labelled rows"] == 60
    assert 0 < facts["disparate impact ratio of black"] < 1
    assert facts["figures in Prometheus"] == 4
    assert len(platform.collector.truths) == 60


def test_attributes_come_with_the_labels_and_what_is_not_known_is_left_out(context: Context, platform: Watched) -> None:
    watch.check(context)
    attributes = [truth["attributes"] for truth in platform.collector.truths]
    assert all({"black", "hispan"} <= found.keys() for found in attributes)
    assert sum("male" not in found for found in attributes) == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"performance": {"accuracy": 0.5}}, "has measured accuracy 0.5, computed from the same rows it is "),
        ({"reference_rows": 0}, "has no reference profile of version 2"),
    ],
)
def test_a_report_that_is_wrong(context: Context, platform: Watched, change: dict[str, Any], reason: str) -> None:
    platform.monitor.change = lambda report: report.update(change) if report["labelled_rows"] else None
    assert failure(context).reason.startswith(reason)


def test_fairness_that_is_wrong(context: Context, platform: Watched) -> None:
    def change(report: dict[str, Any]) -> None:
        if report["fairness"]:
            report["fairness"]["black"]["figures"]["disparate_impact_ratio"]["value"] = 1.0

    platform.monitor.change = change
    assert failure(context).reason.startswith("has disparate impact ratio of black 1.0, computed from the same rows")


def test_performance_that_is_claimed_before_labels_came(context: Context, platform: Watched) -> None:
    platform.monitor.change = lambda report: report.update(performance={"accuracy": 1.0})
    assert failure(context).reason == "has performance before any label {'accuracy': 1.0}, expected {}"


@pytest.mark.usefixtures("impatient")
def test_labels_that_never_arrive(context: Context, platform: Watched) -> None:
    platform.monitor.change = lambda report: report.update(labelled_rows=0)
    assert "finds 60 rows, 0 labelled of version 2" in failure(context).reason


@pytest.mark.usefixtures("impatient")
def test_figures_that_prometheus_does_not_have(context: Context, platform: Watched) -> None:
    platform.exported = False
    found = failure(context)
    assert found.subject == "Prometheus http://prometheus.prometheus.svc:9090"
    assert 'has model_window_labelled_rows{model="loan-approval",version="2"} None' in found.reason


def decision(score: float, label: float, group: float | None) -> Decision:
    attributes = {} if group is None else {"black": group}
    return Decision("r", 0, Case({}, label, attributes), [1 - score, score])


def test_own_figures_are_those_of_a_small_table() -> None:
    made = [decision(0.9, 1, 0), decision(0.9, 0, 0), decision(0.2, 1, 1), decision(0.9, 1, 1), decision(0.1, 0, None)]
    assert figures.performance(made) == {"accuracy": 0.6, "precision": 2 / 3, "recall": 2 / 3}
    assert figures.disparate_impact_ratio(made, "black") == 0.5


def test_one_probability_decides_as_the_last_of_two_does() -> None:
    assert figures.approved(Decision("r", 0, Case({}, 1, {}), 0.7))
    assert not figures.approved(Decision("r", 0, Case({}, 1, {}), [0.5, 0.5]))


def test_truths_name_row_and_request_and_who_says_so() -> None:
    (told,) = decisions.truths([decision(0.9, 1, 1)], "2026-11-30T12:00:00+00:00")
    assert told["request_id"] == "r"
    assert (told["row"], told["kind"], told["value"]) == (0, "label", 1)
    assert told["attributes"] == {"black": 1}
