"""Where the parts of the platform are: the pipeline runner's ConfigMap says it to every run, and so to the loop."""

from __future__ import annotations

import json
from dataclasses import dataclass

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
    prometheus: str | None
    """None where the order form has no metrics store."""


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
    )


_PART = {"REGISTRY_ARTEFACT_ROOT": "model registry", "SERVING_NAMESPACE": "model serving"}
