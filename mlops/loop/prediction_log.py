"""The prediction log, asked over its own HTTP interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mlops.loop.service import Service

__all__ = ["PredictionLog"]

TRUTHS = 500
"""Labels in one request; the collector bounds its bodies."""


class PredictionLog(Service):
    """The collector."""

    name = "prediction log"
    stage = "log"

    def prediction(self, request_id: str) -> dict[str, Any] | None:
        """Return all that is known of one request, None while it is not in the database."""
        found: dict[str, Any] | None = self.get(f"/v1/predictions/{quote(request_id, safe='')}")
        return found

    def tell(self, truths: Sequence[dict[str, Any]]) -> int:
        """Tell what turned out to be true; return how many were taken."""
        for first in range(0, len(truths), TRUTHS):
            self.post("/v1/truths", list(truths[first : first + TRUTHS]))
        return len(truths)
