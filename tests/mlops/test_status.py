"""How the platform's report is put together from live objects and outputs."""

from __future__ import annotations

import socket

from mlops import status
from mlops.status import Model, Report, Workload


def test_opening_line_leads_to_the_service() -> None:
    outputs = {"mlflow": {"url": "http://mlflow.mlflow.svc.cluster.local:5123"}, "kindCluster": {"name": "x"}}
    line = status._openings(outputs)["mlflow"]
    assert line.startswith("http://localhost:5123")
    assert line.endswith("kubectl port-forward -n mlflow service/mlflow 5123:5123")


def test_port_that_is_taken_is_not_proposed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = status._openings({"a": {"url": f"http://a.b.svc:{port}"}})["a"]
    assert f"{port}:{port}" not in line
    assert line.endswith(f":{port}")


def test_two_components_do_not_get_the_same_port() -> None:
    outputs = {"a": {"url": "http://a.x.svc:6123"}, "b": {"url": "http://b.x.svc:6123"}}
    first, second = status._openings(outputs).values()
    assert "6123:6123" in first
    assert "6124:6123" in second


def test_what_is_no_address_in_the_cluster_is_left_out() -> None:
    outputs = {
        "a": {"url": "https://example.org", "bucket": "s3://x"},
        "b": "text",
        "c": {"kubeconfig": "apiVersion: v1"},
    }
    assert status._openings(outputs) == {}


def test_workload_counts_the_memory_of_its_own_pods() -> None:
    live = {
        "metadata": {"name": "mlflow", "namespace": "mlflow"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"image": "localhost/p/mlflow:abc@sha256:1"}]}}},
        "status": {"readyReplicas": 1},
    }
    memory = {
        ("mlflow", "mlflow-5d8f7c-x7k2p"): 400,
        ("mlflow", "mlflow-5d8f7c-b2b2b"): 30,
        ("mlflow", "mlflow-db-0"): 9,
        ("other", "mlflow-5d8f7c-x7k2p"): 9,
    }
    found = status._workload("Deployment", live, {"mlflow": {"app.kubernetes.io/name": "mlflow"}}, memory)
    assert found == Workload("mlflow", "mlflow", "Deployment", "mlflow", 1, 1, "mlflow:abc", 430)


def test_model_is_read_from_its_annotations() -> None:
    notes = {
        "oss-mlops-platform/model-name": "loan",
        "oss-mlops-platform/model-version": "3",
        "oss-mlops-platform/run-id": "r",
    }
    live = {
        "metadata": {"name": "loan", "namespace": "models", "annotations": notes},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "url": "http://loan"},
    }
    assert status._model(live) == Model("models", "loan", "loan", "3", "r", True, "http://loan")


def test_report_is_ready_when_everything_is() -> None:
    good = Workload("a", "a", "Deployment", "a", 1, 1, "i", None)
    bad = Workload("b", "b", "StatefulSet", "b", 0, 1, "i", None)
    assert Report("s", (good,), (), {}).ready
    assert not Report("s", (good, bad), (), {}).ready
    assert not Report("s", (good,), (Model("n", "m", None, None, None, False, None),), {}).ready
