"""Whether the S3 server runs. It exposes no metrics, so what Kubernetes knows of it counts."""

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
                    "ObjectStoreDown",
                    "max by (namespace, statefulset) (kube_statefulset_status_replicas_ready"
                    '{namespace="object-store",statefulset="object-store"}) < 1',
                    "2m",
                    "critical",
                    "The object store is down: no artefact can be read or written, so no model can start.",
                    "platform",
                ),
            ],
        )
    ]
