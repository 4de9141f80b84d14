"""What an order form may say about a cluster that exists."""

from __future__ import annotations

import pydantic

from components._core.config import ComponentConfig, DnsName

__all__ = ["ExistingClusterConfig"]


class ExistingClusterConfig(ComponentConfig):
    """A cluster reached through a kubeconfig."""

    context: str = pydantic.Field(min_length=1)
    """Context of the kubeconfig. Named always: the platform never goes to whichever context is current."""

    kubeconfig: str = "~/.kube/config"
    """Path of the kubeconfig file; `~` is the home of whoever runs Pulumi."""

    storage_class: DnsName | None = None
    """StorageClass of volumes; None asks for the cluster's default."""
