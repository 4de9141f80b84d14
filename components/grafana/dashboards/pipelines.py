"""Whether pipelines run, and whether what they depend on answers."""

from __future__ import annotations

from components.grafana.dashboards.definition import Dashboard, Kind, Panel, Query, Row, Unit, above, one

__all__ = ["DASHBOARD"]

RUNS = 'namespace="pipelines"'
"""Where runs are, unless an order form moved them."""

MLFLOW_TIMES = "sum by (le) (rate(mlflow_http_request_duration_seconds_bucket[5m]))"

HERE = Row(
    "Runs",
    (
        Panel(
            "Runs that failed",
            "Jobs of pipelines that gave up and are still there to look at.",
            Kind.STAT,
            Unit.NUMBER,
            one(f'count(kube_job_failed{{{RUNS},condition="true"}} == 1) or vector(0)'),
            above(1, 3),
        ),
        Panel(
            "Runs by phase",
            "Pods of runs. Pending for long means that no node has room for what the run asks.",
            Kind.LINES,
            Unit.NUMBER,
            one(f"sum by (phase) (kube_pod_status_phase{{{RUNS}}})", "{{phase}}"),
        ),
        Panel(
            "CPU of runs",
            "Cores that runs use, averaged over five minutes.",
            Kind.LINES,
            Unit.CORES,
            one(f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{RUNS}}}[5m]))", "{{pod}}"),
        ),
        Panel(
            "Memory of runs, of its limit",
            "Working set of a run divided by its limit; at 100 % the run is killed.",
            Kind.LINES,
            Unit.RATIO,
            one(
                f"max by (pod, container) (container_memory_working_set_bytes{{{RUNS}}})"
                f' / max by (pod, container) (kube_pod_container_resource_limits{{{RUNS},resource="memory"}})',
                "{{pod}}",
            ),
            above(0.8, 0.95),
        ),
    ),
)

TRACKING = Row(
    "Tracking and registry",
    (
        Panel(
            "MLflow requests",
            "Requests per second by the HTTP status of their answer.",
            Kind.LINES,
            Unit.PER_SECOND,
            one("sum by (status) (rate(mlflow_http_request_total[5m]))", "{{status}}"),
        ),
        Panel(
            "MLflow answers within",
            "Median and 95th percentile. Uploads of models are among them.",
            Kind.LINES,
            Unit.SECONDS,
            tuple(
                Query(f"histogram_quantile({quantile}, {MLFLOW_TIMES})", f"p{quantile * 100:g}")
                for quantile in (0.5, 0.95)
            ),
        ),
        Panel(
            "MLflow errors",
            "Share of requests that MLflow answers with 5xx.",
            Kind.STAT,
            Unit.RATIO,
            one(
                '(sum(rate(mlflow_http_request_total{status=~"5.."}[5m])) or vector(0))'
                " / sum(rate(mlflow_http_request_total[5m]))"
            ),
            above(0.01, 0.05),
        ),
    ),
)

DASHBOARD = Dashboard(
    "pipelines", "Pipelines", "Do pipelines run, and does what they depend on answer?", (HERE, TRACKING)
)
