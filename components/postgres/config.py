"""What an order form may say about the PostgreSQL server."""

from __future__ import annotations

import pydantic

from components._core.config import ComponentConfig, Quantity, Resources

__all__ = ["PostgresConfig"]


class PostgresConfig(ComponentConfig):
    """One server on one volume. Its version is that of the image `images/postgres`."""

    storage: Quantity = "5Gi"
    """Size of the volume. Most storage classes cannot change it later: see the README before you do."""

    protect: bool = False
    """Refuse to delete or replace the volume: `pulumi destroy` stops until this is false again."""

    max_connections: int = pydantic.Field(default=120, ge=10, le=1000)
    """Connections the server accepts at once; a plan with components that may hold more together is refused.

    Each in use takes about 8 MiB, so that the memory limit is reached before all are: what components may hold at most
    is rarely what they hold.
    """

    shared_buffers: int = pydantic.Field(default=48, ge=16, le=16384)
    """Page cache of the server in MiB; a quarter of the memory limit serves most."""

    resources: Resources = Resources.model_validate(
        {"cpu": "25m", "memory": "96Mi", "cpuLimit": "1", "memoryLimit": "512Mi"}
    )
    """Requests and limits of the server."""
