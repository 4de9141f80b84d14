"""Whether experiments and the registry can be reached."""

from __future__ import annotations

from components._core.rules import Alert, Group

__all__ = ["groups"]

TOTAL = "mlflow_http_request_total"


def groups() -> list[Group]:
    """Return the alerts about the server."""
    return [
        Group(
            "server",
            [
                Alert(
                    "MlflowDown",
                    "max by (namespace, deployment)"
                    ' (kube_deployment_status_replicas_available{namespace="mlflow",deployment="mlflow"}) < 1',
                    "2m",
                    "critical",
                    "MLflow is down: no pipeline can log and no model can be registered.",
                    "platform",
                ),
                Alert(
                    "MlflowErrors",
                    f'sum by (namespace) (rate({TOTAL}{{status=~"5.."}}[5m]))'
                    f" / sum by (namespace) (rate({TOTAL}[5m])) > 0.05",
                    "5m",
                    "warning",
                    "MLflow answers {{ $value | humanizePercentage }} of its requests with an error of its own.",
                    "platform",
                ),
                Alert(
                    "MlflowUnwatched",
                    'absent(up{namespace="mlflow",job="mlflow"})',
                    "5m",
                    "warning",
                    "Nobody reads MLflow's metrics: no alert about its errors can fire.",
                    "platform",
                ),
            ],
        )
    ]
