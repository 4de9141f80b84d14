"""Alerts that hold for every platform. What belongs to one component is that component's own rule."""

from __future__ import annotations

from typing import Any

__all__ = ["groups"]


def groups() -> list[dict[str, Any]]:
    """Return the groups of the PrometheusRule."""
    return [
        {
            "name": "platform",
            "rules": [
                _alert("Watchdog", "vector(1)", "0s", "none", "Always fires: who gets it knows that alerts arrive."),
                _alert(
                    "TargetDown",
                    "max by (job, namespace, pod, instance) (up == 0)",
                    "3m",
                    "warning",
                    "{{ $labels.job }} at {{ $labels.instance }} answers no scrape: it is down, or not reachable.",
                ),
            ],
        },
        {
            "name": "workloads",
            "rules": [
                _alert(
                    "PodCrashLooping",
                    "max by (namespace, pod, container)"
                    ' (max_over_time(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}[5m])) > 0',
                    "5m",
                    "warning",
                    "{{ $labels.namespace }}/{{ $labels.pod }}: container {{ $labels.container }} starts and dies.",
                ),
                _alert(
                    "WorkloadUnavailable",
                    "max by (namespace, deployment)"
                    " (kube_deployment_status_replicas_available < kube_deployment_spec_replicas)"
                    " or max by (namespace, statefulset)"
                    " (kube_statefulset_status_replicas_ready < kube_statefulset_replicas)",
                    "10m",
                    "warning",
                    "{{ $labels.namespace }}/{{ $labels.deployment }}{{ $labels.statefulset }} lacks pods.",
                ),
                _alert(
                    "JobFailed",
                    'max by (namespace, job_name) (kube_job_failed{condition="true"}) > 0',
                    "1m",
                    "warning",
                    "Job {{ $labels.namespace }}/{{ $labels.job_name }} failed.",
                ),
                _alert(
                    "VolumeAlmostFull",
                    "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes < 0.1",
                    "10m",
                    "critical",
                    "Volume {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} has"
                    " {{ $value | humanizePercentage }} left.",
                ),
            ],
        },
        {
            "name": "models",
            "rules": [
                _alert(
                    "ModelErrors",
                    "sum by (namespace, model_name, model_version)"
                    ' (rate(model_request_seconds_count{outcome="failed"}[5m]))'
                    " / sum by (namespace, model_name, model_version) (rate(model_request_seconds_count[5m])) > 0.05",
                    "5m",
                    "warning",
                    "Model {{ $labels.model_name }} version {{ $labels.model_version }} fails"
                    " {{ $value | humanizePercentage }} of its requests.",
                ),
            ],
        },
    ]


def _alert(name: str, expression: str, wait: str, severity: str, summary: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": wait,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    }
