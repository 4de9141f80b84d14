"""A measurement in few words."""

from __future__ import annotations

from typing import Any

from cabc.document.model import Measurement


def measurement(kind: str, comparison: str, target: Any, **more: Any) -> Measurement:
    """Return a measurement as a document would give it."""
    return Measurement.model_validate({"id": "m", "dataType": kind, "comparison": comparison, "target": target, **more})
