"""Run the conformity gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import Component, Promises, labels
from components._core.contracts import (
    Auditor,
    ConformityGate,
    KubernetesCluster,
    MetricsStore,
    ModelRegistry,
    ModelServing,
)
from components._core.rules import register_rules
from components._core.workload import container, deployment_spec, http_probe, pod_spec
from components.conformity_gate import rules
from components.conformity_gate.config import ConformityGateConfig

__all__ = ["ConformityGateComponent"]

PORT = 8080


class ConformityGateComponent(Component[ConformityGateConfig]):
    """Asks the auditor which versions conform, and sees to it that these are champion and served."""

    config_class = ConformityGateConfig
    requires = (KubernetesCluster, ModelRegistry, ModelServing, Auditor)
    uses = (MetricsStore,)
    provides = (ConformityGate,)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        self.metadata: Any = {"name": self.name, "namespace": self.namespace, "labels": labels(self.name)}
        self.allow_ingress(self.namespace, self.name, PORT)
        self._controller(self._credentials(), self._account())
        self.scrape(self.namespace, interval="15s")
        register_rules(self, self.needs.get(MetricsStore), rules.groups())
        return Promises(ConformityGate(mode=self.config.mode))

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            "mode": self.config.mode,
            "url": f"http://{self.name}.{self.namespace}.svc.cluster.local:{PORT}",
            "open": f"kubectl -n {self.namespace} port-forward service/{self.name} {PORT}",
        }

    def _credentials(self) -> kubernetes.core.v1.Secret:
        auditor = self.needs[Auditor]
        return kubernetes.core.v1.Secret(
            f"{self.name}-auditor",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            string_data={"token": auditor.token, "hook-secret": auditor.hook_secret},
            opts=self.options(),
        )

    def _account(self) -> list[pulumi.Resource]:
        """Let the gate change InferenceServices and tell of it; it creates and deletes none, and reads no Secret."""
        serving = self.needs[ModelServing]
        account = kubernetes.core.v1.ServiceAccount(
            self.name, metadata=self.metadata, automount_service_account_token=False, opts=self.options()
        )
        metadata: Any = {"name": self.name, "namespace": serving.namespace, "labels": labels(self.name)}
        role = kubernetes.rbac.v1.Role(
            f"{self.name}-serving",
            metadata=metadata,
            rules=[
                {"api_groups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": ["get", "patch"]},
                {"api_groups": [""], "resources": ["pods"], "verbs": ["list"]},
                {"api_groups": [""], "resources": ["events"], "verbs": ["create"]},
            ],
            opts=self.options(depends_on=[serving.ready]),
        )
        binding = kubernetes.rbac.v1.RoleBinding(
            f"{self.name}-serving",
            metadata=metadata,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": self.name},
            subjects=[{"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}],
            opts=self.options(depends_on=[role, account]),
        )
        return [account, binding]

    def _controller(self, credentials: kubernetes.core.v1.Secret, ready: list[pulumi.Resource]) -> None:
        kubernetes.core.v1.Service(
            self.name,
            # The workload is what is waited for; its Service has nothing to settle before it.
            metadata={**self.metadata, "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={
                "selector": {"app.kubernetes.io/name": self.name},
                "ports": [{"name": "http", "port": PORT, "target_port": "http"}],
            },
            opts=self.options(),
        )
        controller = container(
            self.name,
            images.reference("python"),
            self.config.resources,
            command=["python", "-m", "platform_runtime.conformity_gate"],
            env=self._environment(credentials),
            ports={"http": PORT},
            mounts={"/tmp": "tmp"},  # noqa: S108 (a volume of its own)
            startup=http_probe("/healthz", "http", period_seconds=1, failure_threshold=60),
            readiness=http_probe("/readyz", "http", period_seconds=10, timeout_seconds=5),
            liveness=http_probe("/healthz", "http", period_seconds=20, timeout_seconds=5, failure_threshold=3),
        )
        pod = pod_spec(
            [controller],
            volumes={"tmp": {"empty_dir": {"size_limit": "16Mi"}}},
            service_account=self.name,
            termination_grace_period_seconds=30,
        )
        kubernetes.apps.v1.Deployment(
            self.name,
            metadata=self.metadata,
            # Two would decide the same and write it down twice.
            spec=deployment_spec(self.name, pod, strategy={"type": "Recreate"}),
            opts=self.options(depends_on=ready),
        )

    def _environment(self, credentials: kubernetes.core.v1.Secret) -> dict[str, Any]:
        def from_secret(key: str) -> Any:
            return {"secret_key_ref": {"name": credentials.metadata.name, "key": key}}

        auditor, registry, config = self.needs[Auditor], self.needs[ModelRegistry], self.config
        return {
            "HOME": "/tmp",  # noqa: S108 (a volume of its own)
            "MLFLOW_TRACKING_URI": registry.url,
            "REGISTRY_ARTEFACT_ROOT": registry.artefact_root,
            "SERVING_NAMESPACE": self.needs[ModelServing].namespace,
            "AUDITOR_URL": auditor.url,
            "AUDITOR_TOKEN": from_secret("token"),
            "AUDITOR_HOOK_URL": auditor.hook,
            "AUDITOR_HOOK_SECRET": from_secret("hook-secret"),
            "GATE_MODE": config.mode,
            "GATE_ALLOW_CONDITIONAL": "true" if config.allow_conditional else "false",
            "GATE_INTERVAL_SECONDS": str(config.interval),
            "GATE_HOLD_SECONDS": str(config.hold),
            "GATE_WITHOUT_ALLOWED": config.without_allowed,
        }
