"""What an order form may say about the evidence of the infrastructure."""

from __future__ import annotations

from components._core.config import ComponentConfig

__all__ = ["InfrastructureEvidenceConfig"]


class InfrastructureEvidenceConfig(ComponentConfig):
    """A namespace that `mlops up` writes one document into for each operation. There is nothing to configure."""
