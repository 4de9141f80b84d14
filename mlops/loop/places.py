"""Where the parts of the platform are.

What a run needs to know, the pipeline runner's ConfigMap says to it, and so to the loop. What watches runs from
outside is found by its Service: its name is that of the component, whatever namespace an order form gives it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.errors import OperationError
from mlops.loop.cluster import Cluster

__all__ = ["NAMESPACE", "TEMPLATE", "Places", "find"]

NAMESPACE, TEMPLATE = "pipelines", "pipeline-job"
"""Of the ConfigMap, unless an order form moved the namespace."""


@dataclass(frozen=True)
class Places:
    """What the loop talks to."""

    pipelines: str
    """Namespace of runs."""

    job: str
    """Template of a run's Job, YAML."""

    image: str
    mlflow: str
    artefact_root: str
    serving: str
    """Namespace of InferenceServices."""

    runtime: str
    # Each is None where the order form does not have the component.
    prometheus: str | None
    alerts: str | None = None
    prediction_log: str | None = None
    monitor: str | None = None
    auditor: str | None = None
    auditor_collect: str | None = None
    """The auditor's process that takes triggers; the same as `auditor` where one process does all."""

    gate: str | None = None


def find(cluster: Cluster, namespace: str = NAMESPACE) -> Places:
    """Read the ConfigMap. Raises OperationError naming what the order form lacks."""
    found = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{TEMPLATE}")
    if found is None:
        msg = f"the cluster has no ConfigMap {namespace}/{TEMPLATE}: component pipelineJobs is not deployed"
        raise OperationError(msg, fix="mlops up")
    data = found["data"]
    told = json.loads(data["platform.json"])
    lacking = [name for name in ("REGISTRY_ARTEFACT_ROOT", "SERVING_NAMESPACE") if name not in told]
    if lacking:
        msg = f"the platform has no {' and no '.join(_PART[name] for name in lacking)}: nothing to close the loop with"
        raise OperationError(msg, fix="add the component to the stack's order form and run `mlops up`")
    return Places(
        pipelines=namespace,
        job=data["job.yaml"],
        image=data["image"],
        mlflow=told["MLFLOW_TRACKING_URI"],
        artefact_root=told["REGISTRY_ARTEFACT_ROOT"],
        serving=told["SERVING_NAMESPACE"],
        runtime=told["SERVING_RUNTIME"],
        prometheus=told.get("PROMETHEUS_URL"),
        **_watching(cluster),
    )


def _watching(cluster: Cluster) -> dict[str, str]:
    """Return the in-cluster URLs of those parts that have a Service."""
    services = cluster.items("/api/v1/services", labelSelector=OURS)
    found: dict[str, str] = {}
    for service in services:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        if part := _SERVICES.get(name):
            found[part] = f"http://{name}.{namespace}.svc:{_port(service)}"
    return found


def _port(service: Mapping[str, Any]) -> int:
    """Return the port that people and programs talk to: `http` or `web`, or the only one."""
    ports = service["spec"]["ports"]
    return int(next((port["port"] for port in ports if port.get("name") in {"http", "web"}), ports[0]["port"]))


OURS = "app.kubernetes.io/part-of=oss-mlops-platform"
"""Label of everything that the platform puts into a cluster."""

_SERVICES = {
    "alertmanager": "alerts",
    "prediction-log": "prediction_log",
    "model-monitor": "monitor",
    "cabc-auditor": "auditor",
    "cabc-auditor-collect": "auditor_collect",
    "conformity-gate": "gate",
}


_PART = {"REGISTRY_ARTEFACT_ROOT": "model registry", "SERVING_NAMESPACE": "model serving"}
