"""Whether the database server runs. It exposes no metrics, so what Kubernetes knows of it counts."""

from __future__ import annotations

from components._core.rules import Alert, Group

__all__ = ["groups"]


def groups() -> list[Group]:
    """Return the alerts about the server."""
    return [
        Group(
            "server",
            [
                Alert(
                    "PostgresDown",
                    "max by (namespace, statefulset)"
                    ' (kube_statefulset_status_replicas_ready{namespace="postgres",statefulset="postgres"}) < 1',
                    "2m",
                    "critical",
                    "PostgreSQL is down: no database can be reached, so MLflow and all that logs stand still.",
                    "platform",
                ),
            ],
        )
    ]
