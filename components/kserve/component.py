"""Serve models."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import PART_OF, Component, Promises, labels
from components._core.config import Resources
from components._core.contracts import KubernetesCluster, MetricsStore, ModelRegistry, ModelServing
from components._core.generated import ServerCertificate
from components._core.manifest import Manifest
from components._core.rules import register_rules
from components._core.workload import container, deployment_spec, http_probe, pod_spec
from components.kserve import rules, runtime, upstream
from components.kserve.config import UPSTREAM, KserveConfig
from components.kserve.settings import controller_settings

__all__ = ["KserveComponent"]

CONTROLLER = "kserve-controller-manager"
"""Name of the controller's ServiceAccount upstream, and of its Deployment."""

SERVICE_ACCOUNT = "models"
"""Of predictors."""

AGENT = Resources.model_validate({"cpu": "10m", "memory": "32Mi", "cpuLimit": "500m", "memoryLimit": "256Mi"})
"""Requests and limits of the sidecar that an InferenceService gets when it asks for a logger or a batcher."""


class KserveComponent(Component[KserveConfig]):
    """KServe in Standard mode, with a runtime that serves any MLflow model."""

    config_class = KserveConfig
    requires = (KubernetesCluster, ModelRegistry)
    uses = (MetricsStore,)
    provides = (ModelServing,)

    def deploy(self) -> Promises:
        namespace = self.create_namespace()
        definitions = [
            Manifest(manifest["metadata"]["name"], manifest, self.options())
            for manifest in upstream.definitions(UPSTREAM)
        ]
        controller = self._controller(namespace, definitions)
        admission = self._admission(namespace, controller)
        served = self._runtime(admission)
        account = self._models(served)
        self._monitor(namespace)
        watched = [*rules.groups(self.config), rules.certificate(self.certificate.expires)]
        register_rules(self, self.needs.get(MetricsStore), watched, depends_on=controller)
        return Promises(
            ModelServing(
                namespace=self.config.namespace,
                service_account=SERVICE_ACCOUNT,
                runtime=runtime.NAME,
                ready=account,
            )
        )

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            "namespace": self.config.namespace,
            "runtime": runtime.NAME,
            "version": UPSTREAM.version,
        }

    def _controller(self, namespace: str, definitions: list[Manifest]) -> list[pulumi.Resource]:
        """Run the controller, which exits when it starts before its definitions, and its webhook server."""
        for manifest in upstream.roles(UPSTREAM, namespace):
            Manifest(f"{manifest['kind'].lower()}-{manifest['metadata']['name']}", manifest, self.options())
        settings = controller_settings(
            storage_image=images.reference("python"),
            agent_image=images.reference("kserve-agent"),
            storage=self.config.storage,
            agent=AGENT,
        )
        configuration = kubernetes.core.v1.ConfigMap(
            "inferenceservice-config",
            metadata={"name": "inferenceservice-config", "namespace": namespace, "labels": labels(self.name)},
            data=settings,
            opts=self.options(),
        )
        self.certificate = ServerCertificate(
            "kserve-webhook",
            [f"{upstream.WEBHOOK_SERVICE}.{namespace}.svc"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        secret = kubernetes.core.v1.Secret(
            "kserve-webhook-server-cert",
            metadata={"namespace": namespace, "labels": labels(self.name)},
            type="kubernetes.io/tls",
            string_data={"tls.crt": self.certificate.certificate, "tls.key": self.certificate.key},
            opts=self.options(),
        )
        deployment = kubernetes.apps.v1.Deployment(
            CONTROLLER,
            metadata={"name": CONTROLLER, "namespace": namespace, "labels": labels(self.name)},
            spec=self._controller_spec(secret, settings),
            opts=self.options(depends_on=[*definitions, configuration]),
        )
        service = kubernetes.core.v1.Service(
            upstream.WEBHOOK_SERVICE,
            metadata={"name": upstream.WEBHOOK_SERVICE, "namespace": namespace, "labels": labels(self.name)},
            spec={
                "selector": {"app.kubernetes.io/name": self.name},
                "ports": [{"name": "webhook", "port": 443, "target_port": "webhook"}],
            },
            opts=self.options(),
        )
        return [deployment, service]

    def _controller_spec(self, secret: kubernetes.core.v1.Secret, settings: Mapping[str, str]) -> Any:
        manager = container(
            "manager",
            images.reference("kserve-controller"),
            self.config.controller,
            env={
                "POD_NAMESPACE": {"field_ref": {"field_path": "metadata.namespace"}},
                "SECRET_NAME": secret.metadata.name,
            },
            ports={"webhook": 9443, "metrics": 8080, "health": 8081},
            mounts={"/tmp/k8s-webhook-server/serving-certs": "certificate"},  # noqa: S108 (where the manager looks)
            startup=http_probe("/readyz", "health", period_seconds=1, failure_threshold=60),
            readiness=http_probe("/readyz", "health", period_seconds=5),
            liveness=http_probe("/healthz", "health", period_seconds=20),
        )
        pod = pod_spec(
            [manager],
            volumes={"certificate": {"secret": {"secret_name": secret.metadata.name}}},
            service_account=CONTROLLER,
            termination_grace_period_seconds=10,
        )
        # Some settings are read once, at the start.
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        return deployment_spec(
            self.name,
            pod,
            annotations={"oss-mlops-platform/settings": digest},
            # Two controllers would reconcile against each other; electing a leader delays every start instead.
            strategy={"type": "Recreate"},
        )

    def _admission(self, namespace: str, controller: list[pulumi.Resource]) -> list[pulumi.Resource]:
        """Send objects through the webhooks, once something answers there."""
        kubernetes.networking.v1.NetworkPolicy(
            f"{namespace}-webhook",
            metadata={"name": "webhook", "namespace": namespace, "labels": labels(self.name)},
            spec={
                "pod_selector": {"match_labels": {"app.kubernetes.io/name": self.name}},
                "policy_types": ["Ingress"],
                # The API server calls from an address that no selector can name.
                "ingress": [{"ports": [{"port": 9443, "protocol": "TCP"}]}],
            },
            opts=self.options(),
        )
        authority = self.certificate.authority.apply(lambda pem: base64.b64encode(pem.encode()).decode())
        configurations: list[pulumi.Resource] = []
        for manifest in upstream.webhooks(UPSTREAM):
            trusted = upstream.trust(manifest, namespace, authority)
            name = f"{manifest['kind'].lower()}-{manifest['metadata']['name']}"
            configurations.append(Manifest(name, trusted, self.options(depends_on=controller)))
        return [*controller, *configurations]

    def _runtime(self, admission: list[pulumi.Resource]) -> list[pulumi.Resource]:
        """Teach KServe to serve MLflow models and to fetch them."""
        image = images.reference("python")
        serving = kubernetes.apiextensions.CustomResource(
            "serving-runtime",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterServingRuntime",
            metadata={"name": runtime.NAME, "labels": labels(self.name)},
            spec=runtime.serving_runtime(image, self.config.predictor),
            opts=self.options(depends_on=admission),
        )
        fetching = [
            kubernetes.apiextensions.CustomResource(
                f"storage-{scheme}",
                api_version="serving.kserve.io/v1alpha1",
                kind="ClusterStorageContainer",
                metadata={"name": scheme, "labels": labels(self.name)},
                spec=runtime.storage_container(image, f"{scheme}://", self.config.storage, environment),
                opts=self.options(depends_on=admission),
            )
            for scheme, environment in {
                "s3": {},
                "mlflow": {"MLFLOW_TRACKING_URI": self.needs[ModelRegistry].url},
            }.items()
        ]
        return [serving, *fetching]

    def _models(self, served: list[pulumi.Resource]) -> pulumi.Resource:
        """Make the namespace that models are served from; return the ServiceAccount that may read the artefacts.

        It goes before the controller goes, which has to let go of the InferenceServices in it.
        """
        namespace = self.create_namespace(self.config.namespace, depends_on=served)
        bucket = self.needs[ModelRegistry].bucket
        secret = kubernetes.core.v1.Secret(
            "models-store",
            metadata={
                "namespace": namespace,
                "labels": labels(self.name),
                "annotations": {
                    "serving.kserve.io/s3-endpoint": bucket.endpoint.apply(lambda url: url.partition("://")[2]),
                    "serving.kserve.io/s3-usehttps": bucket.endpoint.apply(
                        lambda url: "1" if url.startswith("https://") else "0"
                    ),
                    "serving.kserve.io/s3-region": bucket.region,
                    "serving.kserve.io/s3-usevirtualbucket": "false",
                },
            },
            string_data={"AWS_ACCESS_KEY_ID": bucket.access_key, "AWS_SECRET_ACCESS_KEY": bucket.secret_key},
            opts=self.options(depends_on=[bucket.ready]),
        )
        account: pulumi.Resource = kubernetes.core.v1.ServiceAccount(
            SERVICE_ACCOUNT,
            metadata={"name": SERVICE_ACCOUNT, "namespace": namespace, "labels": labels(self.name)},
            secrets=[{"name": secret.metadata.name}],
            automount_service_account_token=False,
            opts=self.options(),
        )
        kubernetes.networking.v1.NetworkPolicy(
            f"{namespace}-predictors",
            metadata={"name": "predictors", "namespace": namespace, "labels": labels(self.name)},
            spec={
                "pod_selector": runtime.PREDICTORS,
                "policy_types": ["Ingress"],
                "ingress": [
                    {
                        "from_": [{"namespace_selector": {"match_labels": PART_OF}}],
                        "ports": [{"port": runtime.PORT, "protocol": "TCP"}],
                    }
                ],
            },
            opts=self.options(),
        )
        return account

    def _monitor(self, namespace: str) -> None:
        """Have the controller and every model server scraped."""
        metrics = self.needs.get(MetricsStore)
        if metrics is None:
            return
        self.allow_ingress(namespace, self.name, 8080)
        targets: dict[str, tuple[str, Any, str, str]] = {
            "controller": (namespace, {"matchLabels": {"app.kubernetes.io/name": self.name}}, "metrics", "30s"),
            "predictors": (
                self.config.namespace,
                {"matchExpressions": [{"key": runtime.INFERENCE_SERVICE, "operator": "Exists"}]},
                "http",
                self.config.scrape_interval,
            ),
        }
        for name, (where, selector, port, interval) in targets.items():
            kubernetes.apiextensions.CustomResource(
                f"monitor-{name}",
                api_version="monitoring.coreos.com/v1",
                kind="PodMonitor",
                metadata={"name": name, "namespace": where, "labels": {**labels(self.name), **metrics.selector}},
                spec={
                    "selector": selector,
                    "podTargetLabels": [runtime.INFERENCE_SERVICE] if name == "predictors" else [],
                    "podMetricsEndpoints": [{"port": port, "path": "/metrics", "interval": interval}],
                },
                opts=self.options(depends_on=[metrics.ready]),
            )
