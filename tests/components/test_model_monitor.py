"""The monitor as the program plans it. What it measures is shown in the image's own environment and by the loop."""

from __future__ import annotations

from typing import Any

import pytest

from components.model_monitor import rules
from components.model_monitor.config import Limits, ModelMonitorConfig
from tests.support.plans import Plan, planned

FORM = {"postgres": {}, "objectStore": {}, "mlflow": {}, "predictionLog": {}, "modelMonitor": {"windowSeconds": 600}}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


@pytest.fixture(scope="module")
def pod(resources: Plan) -> Any:
    return resources.of("Deployment", "model-monitor")["inputs"]["spec"]["template"]["spec"]


def variables(pod: Any) -> dict[str, Any]:
    (container,) = pod["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_it_knows_where_predictions_and_profiles_are(pod: Any) -> None:
    found = variables(pod)
    assert found["MLFLOW_TRACKING_URI"] == "http://mlflow.mlflow.svc.cluster.local:5000"
    assert found["PREDICTION_LOG_DATABASE_URL"]["secretKeyRef"]["key"] == "database-url"
    assert (found["MODEL_MONITOR_WINDOW_SECONDS"], found["MODEL_MONITOR_INTERVAL_SECONDS"]) == ("600", "60")
    assert found["MODEL_MONITOR_THRESHOLDS"] == '{"ks":0.1,"psi":0.2,"jensenshannon":0.1}'


def test_it_logs_in_as_the_reader_and_nothing_tells_the_password(resources: Plan) -> None:
    assert resources.of("Secret", "model-monitor-credentials")["inputs"]["stringData"] == "[secret]"
    assert "reader.value" not in str(resources.of("Deployment", "model-monitor"))


def test_it_needs_no_rights_in_the_cluster(resources: Plan, pod: Any) -> None:
    assert pod["automountServiceAccountToken"] is False
    assert not [
        each for each in resources.all("ServiceAccount") if each["inputs"]["metadata"]["name"] == "model-monitor"
    ]


def test_one_at_a_time(resources: Plan) -> None:
    spec = resources.of("Deployment", "model-monitor")["inputs"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_it_is_scraped_and_alerts_are_registered_where_there_is_a_prometheus(
    tmp_path_factory: pytest.TempPathFactory, resources: Plan
) -> None:
    assert not resources.all("PrometheusRule")
    form = {**FORM, "prometheus": {}, "modelMonitor": {"alerts": {"driftShare": 0.25}}}
    watched = planned(tmp_path_factory.mktemp("form"), form)
    monitor = watched.of("ServiceMonitor", "model-monitor-monitor")["inputs"]
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics"}]
    groups = watched.of("PrometheusRule", "model-monitor-rules")["inputs"]["spec"]["groups"]
    assert groups == [group.spec() for group in rules.groups(Limits.model_validate({"driftShare": 0.25}))]


def test_the_image_has_the_thresholds_of_the_order_form() -> None:
    """The program inside knows nothing of order forms, and has defaults of its own."""
    defaults = ModelMonitorConfig()
    assert defaults.thresholds.model_dump() == {"ks": 0.1, "psi": 0.2, "jensenshannon": 0.1}
    assert (defaults.minimum_rows, defaults.minimum_group) == (100, 30)
