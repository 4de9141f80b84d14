"""Alerts that hold for every platform. What belongs to one component is that component's own rule."""

from __future__ import annotations

from components._core.rules import Alert, Group

__all__ = ["groups"]

NEVER_STARTS = "ImagePullBackOff|ErrImagePull|InvalidImageName|CreateContainerConfigError|CreateContainerError"

DISKS = 'id="/",device=~"/dev/.+|overlay.*",device!="/dev/shm"'
"""What holds images, logs and volumes of a node; the rest is memory that looks like a disk."""

WEEK = 7 * 24 * 3600


def groups() -> list[Group]:
    """Return what is watched of the monitoring itself, of every workload, of what they use up, and of every node."""
    return [
        Group("monitoring", [*_reading(), *_telling()]),
        Group("workloads", _workloads()),
        Group("saturation", _saturation()),
        Group("nodes", _nodes()),
    ]


def _reading() -> list[Alert]:
    return [
        Alert(
            "Watchdog",
            "vector(1)",
            "0s",
            "none",
            "Always fires: who gets it knows that alerts arrive.",
            "platform",
        ),
        Alert(
            "TargetDown",
            "max by (job, namespace, pod, instance) (up == 0)",
            "3m",
            "warning",
            "{{ $labels.job }} at {{ $labels.instance }} answers no scrape: it is down, or not reachable.",
            "platform",
        ),
        Alert(
            "StateMetricsMissing",
            _silent("kube-state-metrics"),
            "5m",
            "critical",
            "Nothing tells of pods, Jobs and workloads: no alert about them can fire.",
            "platform",
        ),
        Alert(
            "NodeMetricsMissing",
            f"{_silent('cadvisor')} or {_silent('kubelet')}",
            "5m",
            "critical",
            "No kubelet is read by job {{ $labels.job }}: no alert about CPU, memory, disks and volumes can fire.",
            "platform",
        ),
        Alert(
            "ConfigurationRefused",
            "max by (job, namespace, pod) (prometheus_config_last_reload_successful == 0)"
            " or max by (job, namespace, pod) (alertmanager_config_last_reload_successful == 0)",
            "5m",
            "critical",
            "{{ $labels.job }} refuses its configuration and goes on with the one before.",
            "platform",
        ),
        Alert(
            "MonitoringObjectRefused",
            'max by (namespace, controller, resource) (prometheus_operator_managed_resources{state="rejected"}) > 0',
            "5m",
            "warning",
            "{{ $value }} objects of kind {{ $labels.resource }} are refused: what they ask for is not done.",
            "platform",
        ),
        Alert(
            "RuleFailing",
            "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[5m])) > 0",
            "5m",
            "critical",
            "Rules of {{ $labels.rule_group }} cannot be evaluated: their alerts cannot fire.",
            "platform",
        ),
        Alert(
            "RulesLate",
            "sum by (rule_group) (increase(prometheus_rule_group_iterations_missed_total[5m])) > 0",
            "15m",
            "warning",
            "Rules of {{ $labels.rule_group }} take longer than their interval.",
            "platform",
        ),
    ]


def _silent(job: str) -> str:
    """Return what holds when a job has no target that answers, or no target."""
    return f'(max by (job) (up{{job="{job}"}}) < 1 or absent(up{{job="{job}"}}))'


def _telling() -> list[Alert]:
    return [
        Alert(
            "AlertmanagerMissing",
            "max by (namespace, pod) (prometheus_notifications_alertmanagers_discovered) < 1",
            "5m",
            "critical",
            "Prometheus knows of no Alertmanager: nobody is told of any alert.",
            "platform",
        ),
        Alert(
            "AlertsLost",
            "sum by (namespace, pod) (increase(prometheus_notifications_dropped_total[5m])) > 0",
            "0s",
            "critical",
            "Prometheus gave up on {{ $value | humanize }} alerts that Alertmanager did not take.",
            "platform",
        ),
        Alert(
            "ReceiverUnreachable",
            "sum by (namespace, pod, integration) (increase(alertmanager_notifications_failed_total[5m])) > 0",
            "5m",
            "critical",
            "Alertmanager cannot deliver by {{ $labels.integration }}: somebody is not told.",
            "platform",
        ),
    ]


def _workloads() -> list[Alert]:
    waiting = "max by (namespace, pod, container) (max_over_time(kube_pod_container_status_waiting_reason"
    return [
        Alert(
            "PodCrashLooping",
            waiting + '{reason="CrashLoopBackOff"}[5m])) > 0',
            "5m",
            "warning",
            "{{ $labels.namespace }}/{{ $labels.pod }}: container {{ $labels.container }} starts and dies.",
            "platform",
        ),
        Alert(
            "ContainerCannotStart",
            waiting + f'{{reason=~"{NEVER_STARTS}"}}[5m])) > 0',
            "5m",
            "warning",
            "{{ $labels.namespace }}/{{ $labels.pod }}: container {{ $labels.container }} cannot be made.",
            "platform",
        ),
        Alert(
            "ContainerOutOfMemory",
            "max by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[10m])) > 0"
            " and on (namespace, pod, container)"
            ' kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1',
            "0s",
            "warning",
            "{{ $labels.namespace }}/{{ $labels.pod }}: container {{ $labels.container }} was killed"
            " at its memory limit.",
            "platform",
        ),
        Alert(
            "WorkloadUnavailable",
            "max by (namespace, deployment)"
            " (kube_deployment_status_replicas_available < kube_deployment_spec_replicas)"
            " or max by (namespace, statefulset)"
            " (kube_statefulset_status_replicas_ready < kube_statefulset_replicas)",
            "10m",
            "warning",
            "{{ $labels.namespace }}/{{ $labels.deployment }}{{ $labels.statefulset }} lacks pods.",
            "platform",
        ),
        Alert(
            "JobFailed",
            'max by (namespace, job_name) (kube_job_failed{condition="true"}) > 0',
            "1m",
            "warning",
            "Job {{ $labels.namespace }}/{{ $labels.job_name }} failed.",
            "platform",
        ),
    ]


def _saturation() -> list[Alert]:
    left = (
        "max by (namespace, persistentvolumeclaim)"
        " (kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes)"
    )
    almost_full = (
        "Volume {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left."
    )
    return [
        Alert(
            "CpuThrottled",
            "sum by (namespace, pod, container) (rate(container_cpu_cfs_throttled_periods_total[5m]))"
            " / sum by (namespace, pod, container) (rate(container_cpu_cfs_periods_total[5m])) > 0.5",
            "15m",
            "info",
            "{{ $labels.namespace }}/{{ $labels.pod }}: container {{ $labels.container }} is held back at its CPU limit"
            " in {{ $value | humanizePercentage }} of the time.",
            "platform",
        ),
        Alert(
            "MemoryAlmostFull",
            "max by (namespace, pod, container) (container_memory_working_set_bytes)"
            " / max by (namespace, pod, container)"
            ' (kube_pod_container_resource_limits{resource="memory"}) > 0.9',
            "15m",
            "warning",
            "{{ $labels.namespace }}/{{ $labels.pod }}: container {{ $labels.container }} uses"
            " {{ $value | humanizePercentage }} of its memory limit.",
            "platform",
        ),
        Alert("VolumeAlmostFull", f"{left} < 0.1", "5m", "critical", almost_full, "platform"),
        Alert("VolumeAlmostFull", f"{left} < 0.2", "10m", "warning", almost_full, "platform"),
        Alert(
            "VolumeMissing",
            "max by (namespace, persistentvolumeclaim)"
            ' (kube_persistentvolumeclaim_status_phase{phase=~"Pending|Lost"}) > 0',
            "15m",
            "warning",
            "Volume {{ $labels.namespace }}/{{ $labels.persistentvolumeclaim }} is asked for and not there.",
            "platform",
        ),
    ]


def _nodes() -> list[Alert]:
    used = (
        f"max by (node, device) (container_fs_usage_bytes{{{DISKS}}})"
        f" / max by (node, device) (container_fs_limit_bytes{{{DISKS}}} > 0)"
    )
    almost_full = "Disk {{ $labels.device }} of node {{ $labels.node }} is {{ $value | humanizePercentage }} full."
    return [
        Alert(
            "NodeNotReady",
            'max by (node) (kube_node_status_condition{condition="Ready",status="true"}) == 0',
            "2m",
            "critical",
            "Node {{ $labels.node }} is not ready: its pods go elsewhere, or nowhere.",
            "platform",
        ),
        Alert(
            "NodeUnderPressure",
            "max by (node, condition)"
            ' (kube_node_status_condition{condition=~"(Disk|Memory|PID)Pressure",status="true"}) > 0',
            "1m",
            "warning",
            "Node {{ $labels.node }} has {{ $labels.condition }}: it takes no new pods and stops some.",
            "platform",
        ),
        Alert("NodeDiskAlmostFull", f"{used} > 0.95", "5m", "critical", almost_full, "platform"),
        Alert("NodeDiskAlmostFull", f"{used} > 0.85", "15m", "warning", almost_full, "platform"),
        Alert(
            "NodeCertificateExpiring",
            f"min by (node) (kubelet_certificate_manager_client_ttl_seconds) < {WEEK}",
            "15m",
            "warning",
            "The kubelet of node {{ $labels.node }} renews its certificate no more:"
            " {{ $value | humanizeDuration }} are left.",
            "platform",
        ),
    ]
