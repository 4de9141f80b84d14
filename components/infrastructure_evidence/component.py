"""Give the evidence of the infrastructure a place in the cluster, and the auditor the right to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi_kubernetes as kubernetes

from components._core.component import Component, Promises, labels
from components._core.contracts import Auditor, KubernetesCluster
from components.infrastructure_evidence.config import InfrastructureEvidenceConfig

__all__ = ["InfrastructureEvidenceComponent"]

READER = "evidence-reader"
"""Name of the Role."""


class InfrastructureEvidenceComponent(Component[InfrastructureEvidenceConfig]):
    """A namespace without a pod. Its documents are written from outside, by whoever operates the stack."""

    config_class = InfrastructureEvidenceConfig
    requires = (KubernetesCluster,)
    uses = (Auditor,)

    def deploy(self) -> Promises:
        namespace = self.create_namespace()
        metadata: Any = {"name": READER, "namespace": namespace, "labels": labels(self.name)}
        role = kubernetes.rbac.v1.Role(
            READER,
            metadata=metadata,
            rules=[{"api_groups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
            opts=self.options(),
        )
        if auditor := self.needs.get(Auditor):
            # Every account of the auditor's namespace: which of its processes collects is its own business.
            group = f"system:serviceaccounts:{auditor.namespace}"
            kubernetes.rbac.v1.RoleBinding(
                READER,
                metadata=metadata,
                role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": READER},
                subjects=[{"api_group": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
                opts=self.options(depends_on=[role]),
            )
        return Promises()

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {"namespace": self.name, "show": f"kubectl -n {self.name} get configmaps"}
