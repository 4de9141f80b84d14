"""The ConfigMap that KServe's controller and webhooks read: only what differs from or is missing in their defaults."""

from __future__ import annotations

import json

from components._core.config import Resources

__all__ = ["controller_settings"]


def controller_settings(
    *, storage_image: str, agent_image: str, storage: Resources, agent: Resources
) -> dict[str, str]:
    """Return the data of ConfigMap `inferenceservice-config`.

    The webhook refuses every pod when one of the quantities is missing, even of parts that nobody uses.
    """
    return {
        key: json.dumps(value, indent=2)
        for key, value in {
            "deploy": {
                "defaultDeploymentMode": "Standard",
                # KServe hands these on as texts, so Kubernetes takes only percentages.
                "deploymentRolloutStrategy": {"defaultRollout": {"maxSurge": "100%", "maxUnavailable": "0%"}},
            },
            # Nothing is made for people outside; the URL in an InferenceService's status is that of its Service.
            "ingress": {
                "ingressGateway": "none/none",
                "disableIngressCreation": True,
                "disableIstioVirtualHost": True,
                "ingressDomain": "svc.cluster.local",
                "domainTemplate": "{{ .Name }}-predictor.{{ .Namespace }}.{{ .IngressDomain }}",
                "urlScheme": "http",
            },
            "storageInitializer": {"image": storage_image, **_quantities(storage)},
            "credentials": {
                "storageSpecSecretName": "storage-config",
                "storageSecretNameAnnotation": "serving.kserve.io/storageSecretName",
                "s3": {
                    "s3AccessKeyIDName": "AWS_ACCESS_KEY_ID",
                    "s3SecretAccessKeyName": "AWS_SECRET_ACCESS_KEY",
                },
            },
            "logger": {"image": agent_image, **_quantities(agent)},
            "agent": {"image": agent_image, **_quantities(agent)},
            "batcher": {"image": agent_image, **_quantities(agent), "maxBatchSize": "32", "maxLatency": "5000"},
            "router": _quantities(agent),
            "metricsAggregator": {"enableMetricAggregation": "false", "enablePrometheusScraping": "false"},
            "security": {"autoMountServiceAccountToken": False},
            "localModel": {"enabled": False},
        }.items()
    }


def _quantities(resources: Resources) -> dict[str, str]:
    return {
        "cpuRequest": resources.cpu,
        "cpuLimit": resources.cpu_limit,
        "memoryRequest": resources.memory,
        "memoryLimit": resources.memory_limit,
    }
