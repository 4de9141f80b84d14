"""What the objectives in an order form mean for alerts; that the alerts fire is shown by tests/rules/kserve."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pydantic
import pytest

from components._core import paths
from components._core.rules import Alert, Recording
from components.kserve import rules
from components.kserve.config import LATENCIES, KserveConfig
from tests.support.plans import Plan, planned

ALL = {"postgres": {}, "objectStore": {}, "mlflow": {}, "kserve": {}}


def config(**objectives: Any) -> KserveConfig:
    return KserveConfig.model_validate({"objectives": objectives})


def alerts(found: KserveConfig, name: str) -> dict[str, Alert]:
    """Return the stages of an alert by severity."""
    return {alert.severity: alert for group in rules.groups(found) for alert in group.alerts if alert.name == name}


def test_objective_is_the_threshold_of_every_window() -> None:
    found = alerts(config(availability=0.999), "ModelFailsRequests")
    critical, warning = found["critical"].expression, found["warning"].expression
    assert "ratio_rate1h > 0.0144 " in critical
    assert "ratio_rate5m > 0.0144 " in critical
    assert "ratio_rate6h > 0.006 " in critical
    assert "ratio_rate30m > 0.006 " in critical
    assert "ratio_rate3d > 0.001 " in warning
    assert "increase3d >= 1000)" in warning
    assert all("at most 0.1 % may fail" in alert.summary for alert in found.values())


def test_bound_of_the_histogram_is_what_an_answer_may_take() -> None:
    found = [
        rule.expression
        for group in rules.groups(config(within="1s"))
        for rule in group.rules
        if isinstance(rule, Recording) and "delays" in rule.record
    ]
    assert len(found) == len(rules.WINDOWS)
    # As Prometheus writes bounds, whatever the server wrote.
    assert all('le="1.0"' in str(expression) for expression in found)


def test_what_an_answer_may_take_is_a_bound_of_the_servers_histogram() -> None:
    source = (paths.CHECKOUT / "images" / "python" / "platform_runtime" / "serve.py").read_text()
    (buckets,) = [
        ast.literal_eval(keyword.value)
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "buckets"
    ]
    assert set(LATENCIES.values()) <= {float(bound) for bound in buckets}


@pytest.mark.parametrize("objectives", [{"availability": 1}, {"availability": 0.9}, {"within": "300ms"}, {"speed": 1}])
def test_objective_that_cannot_be_told_is_refused(objectives: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        config(**objectives)


@pytest.mark.parametrize("availability", [0.95, 0.9999])
def test_outage_is_above_every_threshold(availability: float) -> None:
    found = alerts(config(availability=availability), "ModelFailsRequests")
    limits = [limit for alert in found.values() for limit in re.findall(r"ratio_rate\w+ > (\S+)", alert.expression)]
    assert len(limits) == 6
    assert all(0 < float(limit) < 1 for limit in limits)


def test_models_elsewhere_are_watched_there(tmp_path: Path) -> None:
    plan = planned(tmp_path, {**ALL, "prometheus": {}, "kserve": {"namespace": "serving"}})
    (found,) = [r for r in plan.all("PrometheusRule") if r["name"] == "kserve-rules"]
    assert found["inputs"]["metadata"]["namespace"] == "kserve"
    text = str(found["inputs"]["spec"])
    assert 'namespace="serving"' in text
    assert 'namespace="models"' not in text


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), {**ALL, "prometheus": {}})


def test_end_of_the_webhooks_certificate_is_recorded(plan: Plan) -> None:
    (found,) = [r for r in plan.all("PrometheusRule") if r["name"] == "kserve-rules"]
    recorded = [rule for group in found["inputs"]["spec"]["groups"] for rule in group["rules"] if "record" in rule]
    (expiry,) = [rule for rule in recorded if rule["record"] == rules.EXPIRY]
    assert expiry["expr"] == "vector([kserve-webhook.expires])"
    assert expiry["labels"] == {"namespace": "kserve"}


@pytest.mark.parametrize("component", ["kserve", "mlflow", "object-store", "postgres", "prometheus"])
def test_rules_stand_beside_what_they_are_about(plan: Plan, component: str) -> None:
    (found,) = [r for r in plan.all("PrometheusRule") if r["name"] == f"{component}-rules"]
    metadata = found["inputs"]["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (component, component)
    assert metadata["labels"]["app.kubernetes.io/part-of"] == paths.APPLICATION


@pytest.mark.parametrize(
    ("component", "workload"),
    [
        ("kserve", "kserve-controller-manager"),
        ("mlflow", "mlflow"),
        ("object-store", "object-store"),
        ("postgres", "postgres"),
    ],
)
def test_nobody_is_told_that_something_is_down_before_it_ran(plan: Plan, component: str, workload: str) -> None:
    (found,) = [r for r in plan.all("PrometheusRule") if r["name"] == f"{component}-rules"]
    kinds = [urn.split("::")[0].rpartition(":")[2] for urn in found["dependsOn"] if urn.endswith(f"::{workload}")]
    assert {"Deployment", "StatefulSet"} & set(kinds)


def test_platform_without_metrics_has_no_rules(tmp_path: Path) -> None:
    assert planned(tmp_path, ALL).all("PrometheusRule") == []
