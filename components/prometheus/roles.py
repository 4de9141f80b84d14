"""What each program may do, as rules of Kubernetes roles."""

from __future__ import annotations

from typing import Any

__all__ = ["KUBE_STATE_METRICS", "OPERATOR", "OPERATOR_IN_NAMESPACE", "PROMETHEUS"]

READ = ["get", "list", "watch"]

OPERATOR: list[dict[str, Any]] = [
    {
        "api_groups": ["monitoring.coreos.com"],
        "resources": ["servicemonitors", "podmonitors", "prometheusrules", "probes"],
        "verbs": READ,
    },
    {"api_groups": [""], "resources": ["namespaces"], "verbs": READ},
    {"api_groups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get"]},
    # A monitor or a rule that it refuses gets an event beside it.
    {"api_groups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
]
"""The operator reads monitors and rules everywhere, and writes nothing but events outside its own namespace."""

OPERATOR_IN_NAMESPACE: list[dict[str, Any]] = [
    {
        "api_groups": ["monitoring.coreos.com"],
        "resources": ["prometheuses", "alertmanagers", "alertmanagerconfigs"],
        "verbs": READ,
    },
    {
        "api_groups": ["monitoring.coreos.com"],
        "resources": [
            f"{kind}/{part}" for kind in ("prometheuses", "alertmanagers") for part in ("status", "finalizers")
        ],
        "verbs": ["get", "update", "patch"],
    },
    {"api_groups": ["apps"], "resources": ["statefulsets"], "verbs": ["*"]},
    {"api_groups": [""], "resources": ["configmaps", "secrets"], "verbs": ["*"]},
    {"api_groups": [""], "resources": ["pods"], "verbs": ["get", "list", "delete"]},
    {
        "api_groups": [""],
        "resources": ["services", "services/finalizers", "endpoints"],
        "verbs": ["get", "create", "update", "delete"],
    },
]

PROMETHEUS: list[dict[str, Any]] = [
    {"api_groups": [""], "resources": ["services", "endpoints", "pods", "nodes"], "verbs": READ},
    {"api_groups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
    {"api_groups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
    {"non_resource_urls": ["/metrics"], "verbs": ["get"]},
]

KUBE_STATE_METRICS: list[dict[str, Any]] = [
    {"api_groups": [""], "resources": ["nodes", "pods", "persistentvolumeclaims"], "verbs": ["list", "watch"]},
    {"api_groups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["list", "watch"]},
    {"api_groups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch"]},
]
