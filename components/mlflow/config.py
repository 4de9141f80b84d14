"""What an order form may say about MLflow."""

from __future__ import annotations

from components._core.config import ComponentConfig, DnsName, Resources

__all__ = ["MlflowConfig"]


class MlflowConfig(ComponentConfig):
    """One server. Its version is that of the image `images/python`."""

    database: DnsName = "mlflow"
    """Name of the database, and of its owner, that is claimed for experiments and the registry."""

    bucket: DnsName = "mlflow"
    """Name of the bucket, and of its owner, that is claimed for artefacts."""

    allowed_hosts: tuple[str, ...] = ()
    """More names that people reach the server by, as in the Host header; `*` stands for anything.

    The names of its Service, the address of its pod and localhost are always allowed.
    """

    allowed_origins: tuple[str, ...] = ()
    """Web pages (`https://host`) that may call the server from a browser; none by default."""

    resources: Resources = Resources.model_validate(
        {"cpu": "50m", "memory": "400Mi", "cpuLimit": "2", "memoryLimit": "1Gi"}
    )
    """Requests and limits of the server, and of the init container that brings its schema up to date."""
