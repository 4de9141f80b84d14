"""The model monitor, asked over its own HTTP interface."""

from __future__ import annotations

from typing import Any

from mlops.loop.service import Service

__all__ = ["ModelMonitor"]


class ModelMonitor(Service):
    """What measures windows of the prediction log."""

    name = "model monitor"
    stage = "watch"

    def report(self, model: str, version: str) -> dict[str, Any] | None:
        """Return the latest report about a version, None when it was not measured."""
        found: dict[str, Any] | None = self.get(f"/v1/reports/{model}/{version}")
        return found

    def measure(self, model: str, version: str) -> dict[str, Any] | None:
        """Have the window of a version measured now; return the report, None when the version did not answer in it."""
        reports: list[dict[str, Any]] = self.post("/v1/run", {"model": model, "version": version})["reports"]
        return reports[0] if reports else None
