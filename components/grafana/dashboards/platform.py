"""Whether everything is there, and has room."""

from __future__ import annotations

from components.grafana.dashboards.definition import Dashboard, Kind, Panel, Query, Row, Unit, above, below, one

__all__ = ["DASHBOARD"]

CONTAINER = "max by (namespace, pod, container)"
"""One series per container, whichever target told of it."""

HEALTH = Row(
    "Health",
    (
        Panel(
            "Targets that answer",
            "Share of what Prometheus scrapes that answered the last time. Below 1, look at the table of targets.",
            Kind.STAT,
            Unit.RATIO,
            one("sum(up) / count(up)"),
            below(1, 0.9),
        ),
        Panel(
            "Alerts firing",
            "Alerts of severity critical or warning that fire now.",
            Kind.STAT,
            Unit.NUMBER,
            one('count(ALERTS{alertstate="firing",severity=~"critical|warning"}) or vector(0)'),
            above(1, 3),
        ),
        Panel(
            "Pods lacking",
            "Pods that Deployments and StatefulSets want and that are not ready.",
            Kind.STAT,
            Unit.NUMBER,
            one(
                "(sum(clamp_min(kube_deployment_spec_replicas - kube_deployment_status_replicas_available, 0))"
                " or vector(0))"
                " + (sum(clamp_min(kube_statefulset_replicas - kube_statefulset_status_replicas_ready, 0))"
                " or vector(0))"
            ),
            above(1, 3),
        ),
        Panel(
            "Restarts in the last hour",
            "Containers that died and were started again, on the whole cluster.",
            Kind.STAT,
            Unit.NUMBER,
            one("sum(increase(kube_pod_container_status_restarts_total[1h]))"),
            above(1, 5),
        ),
        Panel(
            "What fires",
            "Every alert that fires, with who is to act on it; the watchdog, which always does, is left out.",
            Kind.TABLE,
            Unit.NUMBER,
            one(
                "sum by (alertname, severity, owner, namespace)"
                ' (ALERTS{alertstate="firing",severity=~"critical|warning|info"})',
                "{{alertname}}",
            ),
        ),
        Panel(
            "Targets",
            "Targets by job and whether they answer: a target that is down is told nowhere else.",
            Kind.TABLE,
            Unit.RATIO,
            one("avg by (job, namespace) (up)", "{{job}}"),
            below(1, 0.5),
        ),
    ),
)

ROOM = Row(
    "Room",
    (
        Panel(
            "CPU by namespace",
            "Cores in use, averaged over five minutes.",
            Kind.LINES,
            Unit.CORES,
            one("sum by (namespace) (rate(container_cpu_usage_seconds_total[5m]))", "{{namespace}}"),
        ),
        Panel(
            "Memory by namespace",
            "Working set: what the kernel cannot take back. It is what limits are about.",
            Kind.LINES,
            Unit.BYTES,
            one("sum by (namespace) (container_memory_working_set_bytes)", "{{namespace}}"),
        ),
        Panel(
            "Memory of its limit",
            "The ten containers that are nearest to their memory limit; at 100 % one is killed.",
            Kind.BARS,
            Unit.RATIO,
            one(
                f"topk(10, {CONTAINER} (container_memory_working_set_bytes)"
                f' / {CONTAINER} (kube_pod_container_resource_limits{{resource="memory"}}))',
                "{{namespace}}/{{pod}} {{container}}",
            ),
            above(0.8, 0.95),
        ),
        Panel(
            "CPU of its limit",
            "The ten containers that are nearest to their CPU limit; above it they wait.",
            Kind.BARS,
            Unit.RATIO,
            one(
                f"topk(10, sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total[5m]))"
                f' / {CONTAINER} (kube_pod_container_resource_limits{{resource="cpu"}}))',
                "{{namespace}}/{{pod}} {{container}}",
            ),
            above(0.8, 0.95),
        ),
        Panel(
            "CPU held back",
            "Share of the time in which a container wanted to run and its limit said no: the ten that suffer most.",
            Kind.BARS,
            Unit.RATIO,
            one(
                "topk(10, sum by (namespace, pod, container) (rate(container_cpu_cfs_throttled_periods_total[5m]))"
                " / sum by (namespace, pod, container) (rate(container_cpu_cfs_periods_total[5m])))",
                "{{namespace}}/{{pod}} {{container}}",
            ),
            above(0.25, 0.5),
        ),
        Panel(
            "Disks of nodes",
            "How full the disks of the nodes are: images, volumes that are folders, what containers write.",
            Kind.BARS,
            Unit.RATIO,
            one(
                "max by (node, device) (container_fs_usage_bytes / container_fs_limit_bytes)",
                "{{node}} {{device}}",
            ),
            above(0.8, 0.9),
        ),
        Panel(
            "Volumes in use",
            "How full each volume is. Volumes that are folders of a node do not tell.",
            Kind.BARS,
            Unit.RATIO,
            one(
                "1 - max by (namespace, persistentvolumeclaim)"
                " (kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes)",
                "{{namespace}}/{{persistentvolumeclaim}}",
            ),
            above(0.8, 0.9),
        ),
    ),
)

WATCHING = Row(
    "Who watches",
    (
        Panel(
            "Series",
            "Series that Prometheus holds in memory; it grows with them. A jump means a label with too many values.",
            Kind.LINES,
            Unit.NUMBER,
            one("sum(prometheus_tsdb_head_series)", "series"),
        ),
        Panel(
            "Samples per second",
            "How much Prometheus takes in.",
            Kind.LINES,
            Unit.PER_SECOND,
            one("sum(rate(prometheus_tsdb_head_samples_appended_total[5m]))", "samples"),
        ),
        Panel(
            "Slowest scrapes",
            "Time the slowest target of each job takes to answer; more than its interval and samples are lost.",
            Kind.LINES,
            Unit.SECONDS,
            one("topk(8, max by (job) (scrape_duration_seconds))", "{{job}}"),
        ),
        Panel(
            "What did not work in the last hour",
            "Rules that could not be evaluated, and alerts that Alertmanager could not deliver: then nobody is told.",
            Kind.STAT,
            Unit.NUMBER,
            (
                Query("sum(increase(prometheus_rule_evaluation_failures_total[1h]))", "rules"),
                Query("sum(increase(alertmanager_notifications_failed_total[1h]))", "notifications"),
            ),
            above(1, 5),
        ),
    ),
)

DASHBOARD = Dashboard("platform", "Platform", "Is everything there, and has it room?", (HEALTH, ROOM, WATCHING))
