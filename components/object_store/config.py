"""What an order form may say about the S3 server."""

from __future__ import annotations

from components._core.config import ComponentConfig, Quantity, Resources

__all__ = ["ObjectStoreConfig"]


class ObjectStoreConfig(ComponentConfig):
    """One server (versitygw) on one volume. Its version is that of the image `images/versitygw`."""

    storage: Quantity = "10Gi"
    """Size of the volume. Most storage classes cannot change it later: see the README before you do."""

    protect: bool = False
    """Refuse to delete or replace the volume: `pulumi destroy` stops until this is false again."""

    region: str = "us-east-1"
    """Region that clients have to sign for; it names no place."""

    resources: Resources = Resources.model_validate(
        {"cpu": "25m", "memory": "48Mi", "cpuLimit": "1", "memoryLimit": "256Mi"}
    )
    """Requests and limits of the server."""
