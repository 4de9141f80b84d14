"""The tracking server as the program plans it. What it answers is shown by the loop on the cluster."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

from tests.support.plans import Plan, planned

FORM = {
    "postgres": {},
    "objectStore": {},
    "mlflow": {"allowedHosts": ["mlflow.example.org"], "allowedOrigins": ["https://mlflow.example.org"]},
}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


@pytest.fixture(scope="module")
def server(resources: Plan) -> Any:
    (container,) = resources.of("Deployment", "mlflow")["inputs"]["spec"]["template"]["spec"]["containers"]
    return container


def argument(server: Any, name: str) -> str:
    (found,) = [text for text in server["args"] if text.startswith(f"--{name}=")]
    return str(found).partition("=")[2]


def variables(container: Any) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


@pytest.mark.parametrize(
    "host",
    [
        "mlflow",
        "mlflow:5000",
        "mlflow.mlflow.svc:5000",
        "mlflow.mlflow.svc.cluster.local:5000",
        "localhost:15000",
        "mlflow.example.org",
        "mlflow.example.org:8443",
    ],
)
def test_server_answers_to_its_names(server: Any, host: str) -> None:
    assert any(fnmatch.fnmatch(host, pattern) for pattern in argument(server, "allowed-hosts").split(","))


@pytest.mark.parametrize("host", ["evil.example", "mlflow.evil.example", "10.evil.example", "localhost.evil.example"])
def test_server_answers_to_no_other_name(server: Any, host: str) -> None:
    assert not any(fnmatch.fnmatch(host, pattern) for pattern in argument(server, "allowed-hosts").split(","))


def test_prometheus_comes_by_the_address_of_the_pod(server: Any) -> None:
    assert "$(POD_IP):*" in argument(server, "allowed-hosts").split(",")
    assert server["env"][0] == {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def test_schema_is_brought_up_to_date_before_the_server_starts(resources: Plan) -> None:
    (migrate,) = resources.of("Deployment", "mlflow")["inputs"]["spec"]["template"]["spec"]["initContainers"]
    assert "mlflow db upgrade" in migrate["command"][-1]
    assert "secretKeyRef" in variables(migrate)["MLFLOW_BACKEND_STORE_URI"]


def test_server_is_one_process_that_calls_nobody(server: Any) -> None:
    assert argument(server, "workers") == "1"
    environment = variables(server)
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_registry_may_tell_who_is_in_the_cluster(server: Any) -> None:
    environment = variables(server)
    assert environment["MLFLOW_WEBHOOK_ALLOWED_SCHEMES"] == "http,https"
    assert environment["MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"] == "true"
    assert environment["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"]["secretKeyRef"]["key"] == "webhook-key"


def test_artefacts_go_to_the_claimed_bucket(server: Any) -> None:
    assert argument(server, "artifacts-destination") == "s3://mlflow/artifacts"
    environment = variables(server)
    assert environment["MLFLOW_S3_ENDPOINT_URL"] == "http://object-store.object-store.svc.cluster.local:7070"
    assert environment["AWS_SECRET_ACCESS_KEY"]["secretKeyRef"]["key"] == "secret-key"


def test_nothing_secret_is_an_argument_or_a_value(resources: Plan) -> None:
    assert resources.of("Secret", "mlflow-credentials")["inputs"]["stringData"] == "[secret]"
    assert "[postgres-mlflow.value]" not in str(resources.of("Deployment", "mlflow"))


def test_old_server_answers_until_the_new_one_does(resources: Plan) -> None:
    strategy = resources.of("Deployment", "mlflow")["inputs"]["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_server_is_scraped_where_there_is_a_prometheus(
    tmp_path_factory: pytest.TempPathFactory, resources: Plan
) -> None:
    assert not resources.all("ServiceMonitor")
    watched = planned(tmp_path_factory.mktemp("form"), {**FORM, "prometheus": {}})
    monitor = watched.of("ServiceMonitor")["inputs"]
    assert monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "oss-mlops-platform"
    assert "servicemonitors.monitoring.coreos.com" in watched.waits(watched.of("ServiceMonitor"))
