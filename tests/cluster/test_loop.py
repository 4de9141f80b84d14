"""The loop closes on real data, and says where and why when one of its subjects is taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.platform import Platform

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def evidence(closed: tuple[dict[str, Any], float]) -> dict[str, Any]:
    return closed[0]


def test_facts_are_asserted_and_none_is_constant(platform: Platform, evidence: dict[str, Any]) -> None:
    assert evidence["exitCode"] == 0
    assert len(evidence["facts"]) >= 10
    again = platform.loop()
    assert again["exitCode"] == 0
    first, second = ({fact["name"]: fact["found"] for fact in run["facts"]} for run in (evidence, again))
    assert first["run id"] != second["run id"]
    assert int(second["version"]) == int(first["version"]) + 1


def test_model_is_ready_and_says_what_it_is(platform: Platform, evidence: dict[str, Any]) -> None:
    (service,) = platform.kubectl_json("get", "inferenceservices", "-A")["items"]
    ready = {condition["type"]: condition["status"] for condition in service["status"]["conditions"]}
    assert ready["Ready"] == "True"
    assert service["spec"]["predictor"]["model"]["storageUri"].startswith("s3://")
    assert evidence


@contextmanager
def scaled_to_zero(platform: Platform, namespace: str, workload: str) -> Iterator[None]:
    platform.kubectl("scale", workload, "-n", namespace, "--replicas=0")
    selector = "app.kubernetes.io/name=mlflow"
    platform.kubectl("wait", "--for=delete", "pod", "-n", namespace, "-l", selector, "--timeout=90s")
    try:
        yield
    finally:
        platform.kubectl("scale", workload, "-n", namespace, "--replicas=1")
        platform.kubectl("rollout", "status", workload, "-n", namespace, "--timeout=120s")


def test_without_the_registry_the_loop_names_it(platform: Platform, evidence: dict[str, Any]) -> None:
    assert evidence
    with scaled_to_zero(platform, "mlflow", "deployment/mlflow"):
        failed = platform.loop(check=False)
    assert failed["exitCode"] == 1
    assert "mlflow" in failed["failure"]["object"]
    assert failed["failure"]["reason"]


def test_a_model_below_the_gate_is_not_registered(platform: Platform, evidence: dict[str, Any]) -> None:
    failed = platform.loop("--gate", "0.999", check=False)
    assert failed["exitCode"] == 1
    assert failed["failure"]["stage"] == "evaluate"
    assert "0.999" in failed["failure"]["reason"]
    verified = platform.loop("--verify-only")
    found = {fact["name"]: fact["found"] for fact in verified["facts"]}
    assert evidence
    assert found["version"]


def test_another_version_behind_the_name_is_noticed(platform: Platform, evidence: dict[str, Any]) -> None:
    assert evidence
    (service,) = platform.kubectl_json("get", "inferenceservices", "-A")["items"]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    uri = service["spec"]["predictor"]["model"]["storageUri"]
    other = uri.replace("/artifacts", "/elsewhere")
    patch = f'{{"spec":{{"predictor":{{"model":{{"storageUri":"{other}"}}}}}}}}'
    platform.kubectl("patch", "inferenceservice", name, "-n", namespace, "--type=merge", "-p", patch)
    try:
        failed = platform.loop("--verify-only", check=False)
    finally:
        back = patch.replace(other, uri)
        platform.kubectl("patch", "inferenceservice", name, "-n", namespace, "--type=merge", "-p", back)
    assert failed["exitCode"] == 1
    assert failed["failure"]["stage"] == "deploy"
    assert name in failed["failure"]["object"]


POOL = "podMonitor/models/predictors/0"

TARGETS = "/api/v1/namespaces/prometheus/services/prometheus:9090/proxy/api/v1/targets?state=active"


def scraped(platform: Platform) -> bool:
    """Whether Prometheus reads the model server."""
    targets = json.loads(platform.kubectl("get", "--raw", TARGETS).stdout)["data"]["activeTargets"]
    return any(target["scrapePool"] == POOL and target["health"] == "up" for target in targets)


@pytest.fixture
def monitor(platform: Platform, evidence: dict[str, Any]) -> Iterator[str]:
    """Give the monitor of the model servers to be broken; afterwards `pulumi up` has repaired it."""
    assert evidence
    assert scraped(platform)
    try:
        yield "predictors"
    finally:
        platform.pulumi("up", "--yes", "--skip-preview")
        platform.wait_for_monitors(lambda: scraped(platform), what="Prometheus reading the model server again")
    assert platform.loop("--verify-only")["exitCode"] == 0


def failure(platform: Platform, *options: str) -> dict[str, Any]:
    failed = platform.loop(*options, check=False)
    assert failed["exitCode"] == 1, failed["facts"]
    found: dict[str, Any] = failed["failure"]
    return found


def test_a_monitor_taken_away_a_moment_ago_is_noticed(platform: Platform, monitor: str) -> None:
    platform.kubectl("delete", "podmonitor", monitor, "-n", "models", "--wait=true")
    found = failure(platform)
    # Whether Prometheus has forgotten its target by now is chance: the reason shows that the monitor was asked for.
    assert (found["stage"], found["object"]) == ("monitoring", "namespace models")
    assert "has no PodMonitor or ServiceMonitor" in found["reason"]
    assert "pulumi up" in found["fix"]


def test_predictions_nobody_scrapes_are_noticed(platform: Platform, monitor: str) -> None:
    # The value of a field that we own: what somebody adds beside it is theirs to take back.
    nobody = '{"spec":{"selector":{"matchExpressions":[{"key":"nobody/has-this","operator":"Exists"}]}}}'
    platform.kubectl("patch", "podmonitor", monitor, "-n", "models", "--type=merge", "-p", nobody)
    for options in ((), ("--verify-only",)):
        found = failure(platform, *options)
        assert (found["stage"], found["object"]) == ("monitoring", "PodMonitor models/predictors")
        assert "nobody/has-this" in found["reason"]
    platform.wait_for_monitors(lambda: not scraped(platform), what="Prometheus forgetting the target")
    assert failure(platform)["stage"] == "monitoring"
