"""What KServe runs for a model of format `mlflow`: our model server, and the init container that fetches the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components._core.config import Resources
from components._core.workload import USER

__all__ = ["INFERENCE_SERVICE", "NAME", "PORT", "PREDICTORS", "serving_runtime", "storage_container"]

NAME = "mlflow"
"""Of the ClusterServingRuntime and of the model format it serves."""

PORT = 8080

TMP = "/tmp"  # noqa: S108 (an emptyDir of the pod alone)

INFERENCE_SERVICE = "serving.kserve.io/inferenceservice"
"""Label of every predictor pod; its value is the InferenceService."""

PREDICTORS: Any = {"match_expressions": [{"key": INFERENCE_SERVICE, "operator": "Exists"}]}

ANNOTATIONS = {
    "MODEL_NAME": "oss-mlops-platform/model-name",
    "MODEL_VERSION": "oss-mlops-platform/model-version",
    "MODEL_RUN_ID": "oss-mlops-platform/run-id",
    "PREDICTION_LOG_URL": "oss-mlops-platform/prediction-log",
}
"""Variables of the model server, and the annotations of an InferenceService that they are taken from."""


def serving_runtime(image: str, resources: Resources) -> dict[str, Any]:
    """Return the spec of the ClusterServingRuntime.

    KServe takes no pod-level security context from a runtime, so the container carries all that `restricted` asks.
    """
    return {
        "annotations": {
            "prometheus.kserve.io/port": str(PORT),
            "prometheus.kserve.io/path": "/metrics",
            # The default is a HorizontalPodAutoscaler on CPU, which needs a metrics API that a small cluster lacks.
            "serving.kserve.io/autoscalerClass": "none",
        },
        "supportedModelFormats": [{"name": NAME, "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v1", "v2"],
        "containers": [
            {
                "name": "kserve-container",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", "platform_runtime.serve"],
                "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", f"--http_port={PORT}"],
                "env": [
                    *(
                        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{key}']"}}}
                        for name, key in ANNOTATIONS.items()
                    ),
                    {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                    {"name": "HOME", "value": TMP},
                ],
                "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
                "resources": _resources(resources),
                "securityContext": _security_context(),
                "volumeMounts": [{"name": "tmp", "mountPath": TMP}],
                "startupProbe": _probe("/v2/health/ready", periodSeconds=1, failureThreshold=120),
                "readinessProbe": _probe("/v2/health/ready", periodSeconds=5),
                "livenessProbe": _probe("/v2/health/live", periodSeconds=20, timeoutSeconds=5),
                # Answers when kube-proxy knows that the pod goes and clients have let go of their connections.
                "lifecycle": {"preStop": {"httpGet": {"path": "/drain", "port": PORT}}},
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def storage_container(image: str, prefix: str, resources: Resources, environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of the ClusterStorageContainer for one scheme; KServe adds source and destination."""
    return {
        "container": {
            "name": "storage-initializer",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-m", "platform_runtime.storage"],
            "env": [{"name": name, "value": value} for name, value in environment.items()],
            "resources": _resources(resources),
            "securityContext": _security_context(),
        },
        "supportedUriFormats": [{"prefix": prefix}],
        "workloadType": "initContainer",
        "supportsMultiModelDownload": False,
    }


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": PORT}, **timing}


def _resources(resources: Resources) -> dict[str, Any]:
    return {
        "requests": {"cpu": resources.cpu, "memory": resources.memory},
        "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
    }


def _security_context() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
