"""What an order form may say about the conformity gate."""

from __future__ import annotations

from typing import Literal

import pydantic

from components._core.config import ComponentConfig, Resources

__all__ = ["ConformityGateConfig"]


class ConformityGateConfig(ComponentConfig):
    """One controller for all models that the auditor has a specification of."""

    mode: Literal["report", "warn", "enforce"] = "report"
    """What is done about a decision: said in metrics and API; also tagged at the version and told as an Event; also
    carried out.
    """

    allow_conditional: bool = True
    """Whether a conditional status is enough: what a waiver gives, and a failure below the suspending severity."""

    interval: int = pydantic.Field(default=10, ge=1, le=3600)
    """Seconds between two looks at auditor, registry and cluster."""

    hold: int = pydantic.Field(default=120, ge=0)
    """Seconds that a version which was rolled back stays away at least; taking a version down is never delayed."""

    without_allowed: Literal["keep", "stop"] = "keep"
    """What becomes of a service when no version of the model may be served: it goes on, with a critical alert, or it
    is stopped.
    """

    resources: Resources = Resources.model_validate(
        {"cpu": "10m", "memory": "128Mi", "cpuLimit": "500m", "memoryLimit": "256Mi"}
    )
    """Requests and limits of the controller."""
