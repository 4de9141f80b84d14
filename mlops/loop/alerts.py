"""Alertmanager, asked over its own HTTP interface."""

from __future__ import annotations

from typing import Any

from mlops.loop.service import Service

__all__ = ["Alertmanager"]


class Alertmanager(Service):
    """Where alerts of Prometheus arrive, and from where they go to receivers."""

    name = "Alertmanager"
    stage = "alert"

    def firing(self, **labels: str) -> list[dict[str, Any]]:
        """Return the alerts that fire and have all these labels."""
        found: list[dict[str, Any]] = self.get("/api/v2/alerts", active="true") or []
        return [alert for alert in found if labels.items() <= alert["labels"].items()]
