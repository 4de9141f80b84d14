"""The collector as the program plans it. What it does is shown with the real one, over a real database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from components.prediction_log.config import PredictionLogConfig
from tests.support.plans import Plan, planned

FORM: dict[str, Any] = {
    "postgres": {},
    "objectStore": {},
    "mlflow": {},
    "pipelineJobs": {},
    "predictionLog": {"sensitive": {"loan": {"race": "hash", "name": "drop"}}, "spoolMib": 64},
}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


@pytest.fixture(scope="module")
def collector(resources: Plan) -> Any:
    (container,) = resources.of("StatefulSet", "prediction-log")["inputs"]["spec"]["template"]["spec"]["containers"]
    return container


def variables(container: Any) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_it_has_a_database_with_a_reader_and_a_bucket(resources: Plan, collector: Any) -> None:
    assert resources.of("Job", "postgres-claim-prediction-log")
    assert resources.of("Job", "object-store-claim-predictions")
    told = variables(collector)
    assert told["PREDICTION_LOG_READER"] == "prediction_log_reader"
    assert told["PREDICTION_LOG_ARCHIVE"] == "s3://predictions"
    assert told["AWS_ENDPOINT_URL"] == "http://object-store.object-store.svc.cluster.local:7070"


def test_what_is_configured_reaches_the_collector(collector: Any) -> None:
    told = variables(collector)
    assert json.loads(told["PREDICTION_LOG_RULES"]) == FORM["predictionLog"]["sensitive"]
    assert told["PREDICTION_LOG_SPOOL_BYTES"] == str(64 * 1024 * 1024)
    assert told["PREDICTION_LOG_BODY_BYTES"] == str(4 * 1024 * 1024)
    assert told["PREDICTION_LOG_RETENTION_DAYS"] == "90"


def test_accepted_events_are_on_a_volume(resources: Plan, collector: Any) -> None:
    (mount,) = [each for each in collector["volumeMounts"] if each["name"] == "data"]
    assert mount["mountPath"] == variables(collector)["PREDICTION_LOG_SPOOL"]
    assert resources.of("PersistentVolumeClaim", "prediction-log-data")["inputs"]["spec"]["resources"] == {
        "requests": {"storage": "2Gi"}
    }


def test_nothing_secret_is_a_value(resources: Plan, collector: Any) -> None:
    told = variables(collector)
    for name in ("PREDICTION_LOG_DATABASE", "PREDICTION_LOG_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert "secretKeyRef" in told[name]
    assert resources.of("Secret", "prediction-log-credentials")["inputs"]["stringData"] == "[secret]"


def test_the_platform_reaches_it_predictors_and_pipelines_included(resources: Plan) -> None:
    policy = resources.of("NetworkPolicy", "prediction-log-prediction-log")["inputs"]["spec"]
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"app.kubernetes.io/part-of": "oss-mlops-platform"}}}]


def test_runs_are_told_where_it_is(resources: Plan) -> None:
    data = resources.of("ConfigMap", "pipeline-job")["inputs"]["data"]
    url = "http://prediction-log.prediction-log.svc.cluster.local:8080"
    assert json.loads(data["platform.json"])["PREDICTION_LOG_URL"] == url
    (container,) = yaml.safe_load(data["job.yaml"])["spec"]["template"]["spec"]["containers"]
    assert {"name": "PREDICTION_LOG_URL", "value": url} in container["env"]


def test_runs_are_told_of_no_log_where_there_is_none(tmp_path: Path) -> None:
    without = planned(tmp_path, {key: value for key, value in FORM.items() if key != "predictionLog"})
    assert "PREDICTION_LOG_URL" not in without.of("ConfigMap", "pipeline-job")["inputs"]["data"]["platform.json"]


def test_it_is_watched_where_there_is_a_prometheus(tmp_path: Path, resources: Plan) -> None:
    assert not resources.all("ServiceMonitor")
    watched = planned(tmp_path, {**FORM, "prometheus": {}})
    monitor = watched.of("ServiceMonitor", "prediction-log-monitor")["inputs"]
    assert monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "oss-mlops-platform"
    groups = watched.of("PrometheusRule", "prediction-log-rules")["inputs"]["spec"]["groups"]
    assert [group["name"] for group in groups] == ["collector", "models"]


def test_files_are_kept_as_long_as_rows() -> None:
    with pytest.raises(pydantic.ValidationError, match="archiveDays is 30, wanted at least retentionDays"):
        PredictionLogConfig.model_validate({"archiveDays": 30})


def test_a_rule_is_hash_or_drop() -> None:
    with pytest.raises(pydantic.ValidationError, match="'hash' or 'drop'"):
        PredictionLogConfig.model_validate({"sensitive": {"loan": {"race": "encrypt"}}})
