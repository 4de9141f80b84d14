"""What Prometheus reads beside the monitors that components bring: the kubelet, and which series are kept of it."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["STATE_METRICS", "STATE_RESOURCES", "kubelet"]

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 (a path)

CONTAINERS = (
    "container_cpu_cfs_periods_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
)
"""Of several hundred series per container these say what it costs and whether it is held back."""

DISKS = ("container_fs_limit_bytes", "container_fs_usage_bytes")
"""Of the node itself; what a container writes beside its volumes is on the same disks."""

KUBELET = (
    "kubelet_certificate_manager_client_ttl_seconds",
    "kubelet_volume_stats_available_bytes",
    "kubelet_volume_stats_capacity_bytes",
)

STATE_RESOURCES = ("deployments", "jobs", "nodes", "persistentvolumeclaims", "pods", "statefulsets")

STATE_METRICS = (
    "kube_deployment_spec_replicas",
    "kube_deployment_status_replicas_available",
    "kube_job_failed",
    "kube_node_status_condition",
    "kube_persistentvolumeclaim_status_phase",
    "kube_pod_container_resource_limits",
    "kube_pod_container_resource_requests",
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_container_status_restarts_total",
    "kube_pod_container_status_waiting_reason",
    "kube_pod_status_phase",
    "kube_pod_status_ready",
    "kube_statefulset_replicas",
    "kube_statefulset_status_replicas_ready",
)


def kubelet() -> str:
    """Return the scrape configurations of every node's kubelet, as the YAML (here JSON) that Prometheus reads."""
    return json.dumps(
        [
            _job("kubelet", "/metrics", KUBELET, []),
            _job(
                "cadvisor",
                "/metrics/cadvisor",
                CONTAINERS + DISKS,
                [
                    # An empty container is the sum of a pod or of a slice of the node: read it and all counts twice.
                    _drop(f";.*;({'|'.join(CONTAINERS)})"),
                    _drop(f".*;/.+;({'|'.join(DISKS)})"),
                    _forget("image"),
                ],
            ),
        ],
        indent=1,
    )


def _job(name: str, path: str, keep: tuple[str, ...], relabelings: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "job_name": name,
        "scheme": "https",
        "metrics_path": path,
        # cAdvisor stamps its samples, and the series of a container that is gone would linger for minutes.
        "honor_timestamps": False,
        "authorization": {"credentials_file": TOKEN},
        # A kubelet signs its own certificate unless the cluster approves one for it.
        "tls_config": {"insecure_skip_verify": True},
        "kubernetes_sd_configs": [{"role": "node"}],
        "relabel_configs": [{"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"}],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "|".join(keep), "action": "keep"},
            *relabelings,
        ],
    }


def _drop(regex: str) -> dict[str, Any]:
    """Drop what has such a container, cgroup and name, joined by `;`."""
    return {"source_labels": ["container", "id", "__name__"], "regex": regex, "action": "drop"}


def _forget(label: str) -> dict[str, Any]:
    return {"regex": label, "action": "labeldrop"}
