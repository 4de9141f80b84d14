"""Selectors are evaluated as the operator evaluates them, and what selects nothing is named."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mlops.loop.cluster import Cluster
from mlops.loop.ledger import StageError
from mlops.loop.monitors import Endpoint, Monitors, matches
from tests.support.loop import FakePlatform
from tests.support.loop_parts import monitor, pod

POD = pod("predictor-1", "s3://a")

SERVICES, MONITORS = "/api/v1/namespaces/models/services", "/apis/monitoring.coreos.com/v1/servicemonitors"


def endpoints(platform: FakePlatform) -> list[Endpoint]:
    return Monitors(cast("Cluster", platform), "prometheus").endpoints(POD)


def failure(platform: FakePlatform) -> tuple[str, str]:
    with pytest.raises(StageError) as caught:
        endpoints(platform)
    assert caught.value.stage == "monitoring"
    assert caught.value.fix
    return caught.value.subject, caught.value.reason


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "2"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["2"]}]}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["2"]}]}, True),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}, False),
    ],
)
def test_label_selectors(selector: dict[str, Any], *, selects: bool) -> None:
    assert matches(selector, {"a": "1"}) is selects


def test_a_pod_monitor_that_selects_the_pod() -> None:
    assert endpoints(FakePlatform()) == [
        Endpoint("PodMonitor models/predictors", "podMonitor/models/predictors/0", 8080, "/metrics", relabeled=False)
    ]


@pytest.mark.parametrize(
    ("endpoint", "port"), [({"portNumber": 81}, 81), ({"targetPort": 82}, 82), ({"targetPort": "http"}, 8080)]
)
def test_other_ways_to_say_a_port(endpoint: dict[str, Any], port: int) -> None:
    (found,) = endpoints(FakePlatform(monitors=[monitor(podMetricsEndpoints=[endpoint])]))
    assert (found.port, found.path) == (port, "/metrics")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"selector": {"matchLabels": {"nobody": "has-this"}}}, "it selects nobody=has-this, which the pod is not"),
        ({"podMetricsEndpoints": [{"port": "web"}]}, "it asks for port web, which the pod has not"),
        ({"podMetricsEndpoints": []}, "it asks for port (none), which the pod has not"),
    ],
)
def test_a_monitor_that_misses_the_pod_is_named(spec: dict[str, Any], reason: str) -> None:
    said = f"has Prometheus read nothing of pod models/predictor-1: {reason}"
    assert failure(FakePlatform(monitors=[monitor(**spec)])) == ("PodMonitor models/predictors", said)


@pytest.mark.parametrize("selector", [{"matchNames": ["prometheus"]}, {"matchNames": ["prometheus", "other"]}])
def test_a_monitor_that_looks_elsewhere_is_none(selector: dict[str, Any]) -> None:
    platform = FakePlatform(monitors=[monitor(namespaceSelector=selector)])
    assert failure(platform)[0] == "namespace models"


def test_a_monitor_of_another_namespace_may_look_into_all() -> None:
    far = monitor(namespaceSelector={"any": True})
    far["metadata"]["namespace"] = "prometheus"
    assert [each.monitor for each in endpoints(FakePlatform(monitors=[far]))] == ["PodMonitor prometheus/predictors"]


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"podMonitorSelector": {}},
        {"podMonitorSelector": {}, "podMonitorNamespaceSelector": {"matchLabels": {"platform": "theirs"}}},
        {"podMonitorSelector": {"matchLabels": {"platform": "theirs"}}, "podMonitorNamespaceSelector": {}},
    ],
)
def test_a_monitor_that_prometheus_does_not_read_is_named(asked: dict[str, Any]) -> None:
    subject, reason = failure(FakePlatform(prometheus=asked))
    assert subject == "PodMonitor models/predictors"
    assert reason.startswith("is not read by Prometheus prometheus/platform")


def test_a_prometheus_scaled_to_zero_is_named() -> None:
    assert failure(FakePlatform(prometheus={"replicas": 0})) == (
        "Prometheus prometheus/platform",
        "is scaled to 0 replicas",
    )


def test_no_prometheus_at_all() -> None:
    platform = FakePlatform()
    platform.objects["/apis/monitoring.coreos.com/v1/namespaces/prometheus/prometheuses"] = []
    assert failure(platform)[0] == "namespace prometheus"


def service_monitor(platform: FakePlatform, **service: Any) -> FakePlatform:
    platform.monitors = []
    platform.prometheus = {"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}}
    found = monitor(selector={"matchLabels": {"app": "m"}}, endpoints=[{"port": "web", "path": "/m"}])
    platform.objects[MONITORS] = [found]
    selector = {"serving.kserve.io/inferenceservice": "loan-approval"}
    ports = [{"name": "web", "port": 80, "targetPort": "http"}]
    platform.objects[SERVICES] = [
        {"metadata": {"labels": {"app": "m"}}, "spec": {"selector": selector, "ports": ports, **service}}
    ]
    return platform


def test_a_service_monitor_leads_through_a_service_to_the_pod() -> None:
    (found,) = endpoints(service_monitor(FakePlatform()))
    assert found.pool == "serviceMonitor/models/predictors/0"
    assert (found.monitor, found.port, found.path) == ("ServiceMonitor models/predictors", 8080, "/m")


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ({"selector": {"app": "other"}}, "no Service that is app=m leads to the pod"),
        ({"selector": None}, "no Service that is app=m leads to the pod"),
        ({"ports": [{"name": "other", "port": 80}]}, "it asks for port web, which the pod has not"),
    ],
)
def test_a_service_that_does_not_lead_there(service: dict[str, Any], reason: str) -> None:
    assert failure(service_monitor(FakePlatform(), **service))[1].endswith(reason)
