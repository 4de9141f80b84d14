"""Exactly the predictions that were sent have to be in Prometheus."""

from __future__ import annotations

from typing import cast

import pytest

from mlops.loop.cluster import Cluster
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.metrics import Prometheus
from mlops.loop.monitoring import Counts, Monitoring
from mlops.loop.serving import Serving
from tests.support.loop import PROMETHEUS, FakePlatform
from tests.support.loop_parts import monitor


def watch(platform: FakePlatform) -> Monitoring:
    cluster = cast("Cluster", platform)
    prometheus, serving = Prometheus(cluster, PROMETHEUS), Serving(cluster, "models", "loan-approval")
    # Nothing in memory comes later.
    return Monitoring(cluster, prometheus, serving, pause=0, configured=0, scraped=0)


def test_counts_are_taken_when_prometheus_has_them_all() -> None:
    platform = FakePlatform(counted={"v1": 7, "v2": 3})
    assert watch(platform).settled("2") == Counts({"v1": 7, "v2": 3}, pytest.approx(0.01))


def test_counts_that_lag_behind_are_named() -> None:
    with pytest.raises(StageError, match=r"counts .*'v1': 7.* Prometheus .*'v1': 5"):
        watch(FakePlatform(counted={"v1": 7, "v2": 3}, lost=2)).settled("2")


@pytest.mark.parametrize(("lost", "counted"), [(1, 4), (-1, 6)])
def test_one_prediction_more_or_less_is_a_failure(lost: int, counted: int) -> None:
    platform = FakePlatform(counted={"v1": 5, "v2": 5}, lost=lost)
    with pytest.raises(StageError) as caught:
        watch(platform).counted(Ledger(), "2", Counts({}, 0.0), {"v1": 5, "v2": 5})
    assert caught.value.stage == "monitoring"
    assert caught.value.reason == f"counts {counted} v1 predictions of version 2, 5 were sent"


def test_exact_counts_and_latency_are_facts() -> None:
    ledger = Ledger()
    watch(FakePlatform(counted={"v1": 5, "v2": 5})).counted(ledger, "2", Counts({}, 0.0), {"v1": 5, "v2": 5})
    assert [(fact.name, fact.found) for fact in ledger.facts] == [
        ("v1 predictions counted", 5),
        ("v2 predictions counted", 5),
        ("latency, seconds per prediction", 0.001),
    ]


def test_a_monitor_taken_away_a_moment_ago_is_missed_although_prometheus_still_reads() -> None:
    platform = FakePlatform(monitors=[])
    assert platform.scraped
    with pytest.raises(StageError, match="namespace models has no PodMonitor or ServiceMonitor") as caught:
        watch(platform).check()
    assert caught.value.fix == "`pulumi up` repairs what was changed by hand"
    with pytest.raises(StageError, match="namespace models has no PodMonitor or ServiceMonitor"):
        watch(platform).watched(Ledger(), since=1)


def test_before_anything_is_served_a_monitor_is_asked_for_already() -> None:
    watch(FakePlatform(served=None)).check()
    with pytest.raises(StageError, match="namespace models has no PodMonitor"):
        watch(FakePlatform(served=None, monitors=[])).check()


def test_what_is_read_by_the_monitor_as_it_was_does_not_count() -> None:
    platform = FakePlatform(monitors=[monitor(podMetricsEndpoints=[{"port": "http", "path": "/elsewhere"}])])
    with pytest.raises(StageError) as caught:
        watch(platform).check()
    assert caught.value.reason == (
        "reads http://10.0.0.7:8080/metrics of pod models/predictor-1:"
        " PodMonitor models/predictors wants it read at :8080/elsewhere"
    )


def test_watching_is_told_with_monitor_and_age_of_the_sample() -> None:
    ledger = Ledger()
    watch(FakePlatform()).watched(ledger, since=0.5)
    assert [(fact.name, fact.found) for fact in ledger.facts] == [
        ("monitor of pod predictor-1", "PodMonitor models/predictors"),
        ("sample of pod predictor-1, seconds after the last prediction", 1.5),
        ("up of pod predictor-1", [1.0]),
    ]


def test_a_sample_older_than_the_predictions_is_a_failure() -> None:
    with pytest.raises(StageError, match="has not read pod models/predictor-1 since the predictions of this run"):
        watch(FakePlatform(read_at=2.0)).watched(Ledger(), since=2.0)


def test_a_pod_without_a_target_is_named() -> None:
    with pytest.raises(StageError, match="has no target for pod models/predictor-1"):
        watch(FakePlatform(scraped=False)).settled("2")
