"""The conformity gate, asked over its own HTTP interface."""

from __future__ import annotations

from typing import Any

from mlops.loop.service import Service

__all__ = ["Gate"]


class Gate(Service):
    """What gives and takes alias `champion`, and traffic."""

    name = "conformity gate"
    stage = "gate"

    def mode(self) -> str:
        """Return what it does about its decisions: `report`, `warn` or `enforce`."""
        found = self.get("/v1/models") or {}
        return str(found.get("mode", ""))

    def decisions(self, model: str) -> list[dict[str, Any]]:
        """Return the decisions about a model, the latest first."""
        found: dict[str, Any] = self.get("/v1/decisions", model=model) or {}
        return list(found.get("decisions", []))
