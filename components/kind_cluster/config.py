"""What an order form may say about the kind cluster."""

from __future__ import annotations

from components._core.config import ComponentConfig, DnsName

__all__ = ["KindClusterConfig"]


class KindClusterConfig(ComponentConfig):
    """A single-node kind cluster on the container engine of this machine."""

    name: DnsName | None = None
    """Name of the cluster and its node; None gives `mlops-<stack>`."""

    storage_class: DnsName = "standard"
    """StorageClass of volumes; `standard` is kind's own, directories of the node."""
