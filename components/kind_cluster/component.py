"""Create a kind cluster and bring images into its node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import Component, Promises
from components._core.contracts import KubernetesCluster
from components.kind_cluster.config import KindClusterConfig
from components.kind_cluster.kind import KindCluster, NodeImage

__all__ = ["KindClusterComponent"]


class KindClusterComponent(Component[KindClusterConfig]):
    """A cluster of the stack's own; every image a workload names is put into its node before the workload starts."""

    config_class = KindClusterConfig
    requires = ()
    provides = (KubernetesCluster,)

    def deploy(self) -> Promises:
        self.cluster_name = self.config.name or f"mlops-{pulumi.get_stack()}"
        self.kind = KindCluster(
            self.cluster_name,
            cluster_name=self.cluster_name,
            node_image=images.reference("node"),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.loaded: dict[str, pulumi.Resource] = {}
        provider = kubernetes.Provider(
            self.cluster_name,
            kubeconfig=self.kind.kubeconfig,
            cluster_identifier=self.cluster_name,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return Promises(
            KubernetesCluster(
                name=self.cluster_name,
                kubeconfig=self.kind.kubeconfig,
                provider=provider,
                storage_class=self.config.storage_class,
                load_image=self.load_image,
                owner=self.kind,
            )
        )

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {"name": self.cluster_name, "kubeconfig": self.kind.kubeconfig}

    def load_image(self, reference: str) -> pulumi.Resource | None:
        """Put a locally built image into the node, once; the node pulls all others for itself."""
        if not images.is_local(reference):
            return None
        if reference not in self.loaded:
            self.loaded[reference] = NodeImage(
                reference.rpartition("/")[2].partition(":")[0],
                reference=reference,
                cluster=self.kind,
                opts=pulumi.ResourceOptions(parent=self),
            )
        return self.loaded[reference]
