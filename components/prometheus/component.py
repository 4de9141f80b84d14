"""Run Prometheus and Alertmanager through their operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images, paths
from components._core.component import PART_OF, Component, Promises, labels
from components._core.config import Resources
from components._core.contracts import AlertRouter, MetricsStore
from components._core.manifest import Manifest
from components._core.rules import register_rules
from components._core.workload import USER, container, deployment_spec, http_probe, pod_spec, volume_claim
from components.prometheus import roles, routing, rules, scraping
from components.prometheus.config import ALERTMANAGER, PROMETHEUS, UPSTREAM, PrometheusConfig
from components.prometheus.definitions import definitions

__all__ = ["PrometheusComponent"]

INSTANCE = "platform"
"""Name of the Prometheus and the Alertmanager; the operator names pods after it."""

OPERATOR = "prometheus-operator"
STATE = "kube-state-metrics"

PORTS = {"prometheus": 9090, "alertmanager": 9093, OPERATOR: 8080, STATE: 8080}

API = "monitoring.coreos.com/v1"

AVAILABLE = {"pulumi.com/waitFor": "condition=Available", "pulumi.com/timeoutSeconds": "300"}
"""Annotations of what the operator turns into pods: it is there when they are."""


class PrometheusComponent(Component[PrometheusConfig]):
    """Reads every monitor and rule that carries the platform's label, in any namespace of the platform."""

    config_class = PrometheusConfig
    provides = (MetricsStore, AlertRouter)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        # A component of its own, so that one thing stands for all of them: depending on it is depending on each.
        group = pulumi.ComponentResource(
            f"{paths.APPLICATION}:components:PrometheusDefinitions",
            "prometheus-definitions",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.defined = [
            Manifest(
                manifest["metadata"]["name"],
                manifest,
                pulumi.ResourceOptions(parent=group, provider=self.cluster.provider),
            )
            for manifest in definitions(UPSTREAM)
        ]
        operator = self._operator()
        for name in ("prometheus", "alertmanager"):
            self._service(name)
            self.allow_ingress(self.namespace, name, PORTS[name])
        self._alertmanager(operator)
        self._prometheus(operator)
        self._kube_state_metrics()
        self._monitors()
        store = MetricsStore(
            url=pulumi.Output.from_input(self._url("prometheus")),
            selector=PART_OF,
            namespace=self.namespace,
            ready=group,
        )
        register_rules(self, store, rules.groups())
        return Promises(
            store,
            AlertRouter(
                url=pulumi.Output.from_input(self._url("alertmanager")),
                selector=PART_OF,
                namespace=self.namespace,
                ready=group,
            ),
        )

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            key: value
            for name in ("prometheus", "alertmanager")
            for key, value in {
                f"{name}Url": self._url(name),
                f"{name}Open": f"kubectl -n {self.namespace} port-forward service/{name} {PORTS[name]}",
            }.items()
        }

    def _url(self, name: str) -> str:
        return f"http://{name}.{self.namespace}.svc.cluster.local:{PORTS[name]}"

    def _metadata(self, app: str) -> dict[str, Any]:
        return {"name": app, "namespace": self.namespace, "labels": labels(app)}

    def _service(self, app: str) -> None:
        """Create the Service of pods that the operator makes; they are not there yet, so nothing waits for it."""
        kubernetes.core.v1.Service(
            app,
            metadata={**self._metadata(app), "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={
                "selector": {"app.kubernetes.io/name": app, "app.kubernetes.io/instance": INSTANCE},
                "ports": [{"name": "web", "port": PORTS[app], "target_port": "web"}],
            },
            opts=self.options(),
        )

    def _account(
        self, app: str, cluster_rules: Sequence[Any], namespace_rules: Sequence[Any] = ()
    ) -> list[pulumi.Resource]:
        """Create a ServiceAccount and what it may do; return what its pods have to wait for."""
        account = kubernetes.core.v1.ServiceAccount(app, metadata=self._metadata(app), opts=self.options())
        subjects = [{"kind": "ServiceAccount", "name": app, "namespace": self.namespace}]
        group = "rbac.authorization.k8s.io"
        role = kubernetes.rbac.v1.ClusterRole(
            app, metadata={"labels": labels(app)}, rules=list(cluster_rules), opts=self.options()
        )
        made: list[pulumi.Resource] = [
            account,
            kubernetes.rbac.v1.ClusterRoleBinding(
                app,
                metadata={"labels": labels(app)},
                role_ref={"api_group": group, "kind": "ClusterRole", "name": role.metadata.name},
                subjects=subjects,
                opts=self.options(),
            ),
        ]
        if namespace_rules:
            inner = kubernetes.rbac.v1.Role(
                app, metadata=self._metadata(app), rules=list(namespace_rules), opts=self.options()
            )
            made.append(
                kubernetes.rbac.v1.RoleBinding(
                    app,
                    metadata=self._metadata(app),
                    role_ref={"api_group": group, "kind": "Role", "name": inner.metadata.name},
                    subjects=subjects,
                    opts=self.options(),
                )
            )
        return made

    def _operator(self) -> kubernetes.apps.v1.Deployment:
        account = self._account(OPERATOR, roles.OPERATOR, roles.OPERATOR_IN_NAMESPACE)
        reloader = self.config.reloader
        program = container(
            "operator",
            images.reference(OPERATOR),
            self.config.operator,
            args=[
                f"--prometheus-config-reloader={images.reference('prometheus-config-reloader')}",
                f"--config-reloader-cpu-request={reloader.cpu}",
                f"--config-reloader-cpu-limit={reloader.cpu_limit}",
                f"--config-reloader-memory-request={reloader.memory}",
                f"--config-reloader-memory-limit={reloader.memory_limit}",
                "--enable-config-reloader-probes=true",
                # Monitors are read everywhere; all that the operator makes stays in this namespace.
                f"--prometheus-instance-namespaces={self.namespace}",
                f"--alertmanager-instance-namespaces={self.namespace}",
                f"--alertmanager-config-namespaces={self.namespace}",
                "--disable-unmanaged-prometheus-configuration=true",
                "--log-level=warn",
            ],
            ports={"http": PORTS[OPERATOR]},
            startup=http_probe("/healthz", "http", period_seconds=1, failure_threshold=60),
            readiness=http_probe("/healthz", "http", period_seconds=10),
            liveness=http_probe("/healthz", "http", period_seconds=20),
        )
        return kubernetes.apps.v1.Deployment(
            OPERATOR,
            metadata=self._metadata(OPERATOR),
            spec=deployment_spec(
                OPERATOR, pod_spec([program], service_account=OPERATOR), strategy={"type": "Recreate"}
            ),
            opts=self.options(depends_on=[*self.defined, *account]),
        )

    def _pods(self, *programs: str, resources: Resources) -> dict[str, Any]:
        """Return the fields that a Prometheus and an Alertmanager have in common: what a pod of ours looks like.

        `programs` are the containers whose startup probe the operator would ask but every 10 or 15 seconds.
        """
        return {
            "replicas": 1,
            "terminationGracePeriodSeconds": 60,
            "containers": [
                {"name": name, "startupProbe": {"periodSeconds": 1, "failureThreshold": 900}} for name in programs
            ],
            "imagePullPolicy": "IfNotPresent",
            "enableServiceLinks": False,
            "podMetadata": {"labels": PART_OF},
            "resources": {
                "requests": {"cpu": resources.cpu, "memory": resources.memory},
                "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
            },
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }

    def _alertmanager(self, operator: pulumi.Resource) -> None:
        secret = kubernetes.core.v1.Secret(
            "alertmanager-config",
            metadata={"namespace": self.namespace, "labels": labels("alertmanager")},
            string_data={"alertmanager.yaml": pulumi.Output.secret(routing.settings(self.config.receivers))},
            opts=self.options(),
        )
        kubernetes.apiextensions.CustomResource(
            "alertmanager",
            api_version=API,
            kind="Alertmanager",
            metadata={**self._metadata("alertmanager"), "name": INSTANCE, "annotations": AVAILABLE},
            spec={
                **self._pods("config-reloader", resources=self.config.alertmanager),
                "image": images.reference("alertmanager"),
                "version": ALERTMANAGER,
                "serviceName": "alertmanager",
                "automountServiceAccountToken": False,
                "configSecret": secret.metadata.name,
                "retention": "120h",
                # Programs of the platform that want to be told add a route each, to alerts of every namespace.
                "alertmanagerConfigSelector": {"matchLabels": PART_OF},
                "alertmanagerConfigMatcherStrategy": {"type": "None"},
            },
            opts=self.options(depends_on=[operator]),
        )

    def _prometheus(self, operator: pulumi.Resource) -> None:
        account = self._account("prometheus", roles.PROMETHEUS)
        nodes = kubernetes.core.v1.Secret(
            "prometheus-nodes",
            metadata={"namespace": self.namespace, "labels": labels("prometheus")},
            string_data={"kubelet.yaml": scraping.kubelet()},
            opts=self.options(),
        )
        selector = {"matchLabels": PART_OF}
        kubernetes.apiextensions.CustomResource(
            "prometheus",
            api_version=API,
            kind="Prometheus",
            metadata={**self._metadata("prometheus"), "name": INSTANCE, "annotations": AVAILABLE},
            spec={
                **self._pods("prometheus", "config-reloader", resources=self.config.prometheus),
                "image": images.reference("prometheus"),
                "version": PROMETHEUS,
                "serviceName": "prometheus",
                "serviceAccountName": "prometheus",
                "serviceDiscoveryRole": "EndpointSlice",
                "scrapeInterval": self.config.scrape_interval,
                "evaluationInterval": self.config.scrape_interval,
                # Targets that stamp their samples let the series of what is gone linger.
                "overrideHonorTimestamps": True,
                "retention": self.config.retention,
                "retentionSize": retention_size(self.config.storage),
                "storage": {
                    "volumeClaimTemplate": {"spec": camel_claim(self.config.storage, self.cluster.storage_class)}
                },
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
                "additionalScrapeConfigs": {"name": nodes.metadata.name, "key": "kubelet.yaml"},
                "alerting": {
                    "alertmanagers": [
                        {"name": "alertmanager", "namespace": self.namespace, "port": "web", "apiVersion": "v2"}
                    ]
                },
                **{
                    f"{kind}{part}": selector
                    for kind in ("serviceMonitor", "podMonitor", "rule", "probe")
                    for part in ("Selector", "NamespaceSelector")
                },
            },
            opts=self.options(depends_on=[operator, *account]),
        )

    def _kube_state_metrics(self) -> None:
        account = self._account(STATE, roles.KUBE_STATE_METRICS)
        program = container(
            STATE,
            images.reference(STATE),
            self.config.kube_state_metrics,
            args=[
                f"--resources={','.join(scraping.STATE_RESOURCES)}",
                f"--metric-allowlist={','.join(scraping.STATE_METRICS)}",
            ],
            ports={"http": PORTS[STATE], "telemetry": 8081},
            startup=http_probe("/readyz", "telemetry", period_seconds=1, failure_threshold=60),
            readiness=http_probe("/readyz", "telemetry", period_seconds=10),
            liveness=http_probe("/healthz", "http", period_seconds=20),
        )
        kubernetes.apps.v1.Deployment(
            STATE,
            metadata=self._metadata(STATE),
            spec=deployment_spec(STATE, pod_spec([program], service_account=STATE)),
            opts=self.options(depends_on=account),
        )

    def _monitors(self) -> None:
        """Have the four programs scraped."""
        for app in PORTS:
            endpoint: dict[str, Any] = {
                "port": "web" if app in {"prometheus", "alertmanager"} else "http",
                "interval": "30s",
            }
            if app == STATE:
                # Its series are about pods of other namespaces, and carry their names.
                endpoint |= {"honorLabels": True}
            kubernetes.apiextensions.CustomResource(
                f"monitor-{app}",
                api_version=API,
                kind="PodMonitor",
                metadata=self._metadata(app),
                spec={
                    "jobLabel": "app.kubernetes.io/name",
                    "selector": {"matchLabels": {"app.kubernetes.io/name": app}},
                    "podMetricsEndpoints": [endpoint],
                },
                opts=self.options(depends_on=self.defined),
            )


def retention_size(storage: str) -> str:
    """Return how much of a volume of this size samples may take: four fifths, the rest is for the write-ahead log."""
    binary = {f"{letter}i": 1024**power for power, letter in enumerate("KMGT", 1)}
    units = {**binary, **{letter: 1000**power for power, letter in enumerate("kMGT", 1)}}
    unit = next((unit for unit in units if storage.endswith(unit)), "")
    size = float(storage.removesuffix(unit)) * units.get(unit, 1)
    return f"{int(size * 0.8 / 1024**2)}MB"


def camel_claim(storage: str, storage_class: str | None) -> dict[str, Any]:
    """Return the spec of a volume as it stands inside a custom resource, which no typed class translates."""
    spec = volume_claim(storage, storage_class)
    names = {"access_modes": "accessModes", "storage_class_name": "storageClassName"}
    return {names.get(key, key): value for key, value in spec.items()}
