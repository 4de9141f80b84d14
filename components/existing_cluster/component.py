"""Use a cluster that exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core.component import Component, Promises
from components._core.contracts import KubernetesCluster
from components.existing_cluster.config import ExistingClusterConfig

__all__ = ["ExistingClusterComponent"]


class ExistingClusterComponent(Component[ExistingClusterConfig]):
    """A cluster reached through a kubeconfig; its nodes pull images for themselves."""

    config_class = ExistingClusterConfig
    requires = ()
    provides = (KubernetesCluster,)

    def deploy(self) -> Promises:
        self.kubeconfig = str(Path(self.config.kubeconfig).expanduser())
        provider = kubernetes.Provider(
            self.config.context,
            kubeconfig=self.kubeconfig,
            context=self.config.context,
            cluster_identifier=self.config.context,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return Promises(
            KubernetesCluster(
                name=self.config.context,
                kubeconfig=pulumi.Output.from_input(self.kubeconfig),
                provider=provider,
                storage_class=self.config.storage_class,
            )
        )

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {"name": self.config.context, "kubeconfig": self.config.kubeconfig, "context": self.config.context}
