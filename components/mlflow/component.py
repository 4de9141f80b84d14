"""Run the MLflow server and promise its tracker and its registry."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import Component, Promises, labels
from components._core.contracts import (
    Bucket,
    Database,
    ExperimentTracker,
    KubernetesCluster,
    MetricsStore,
    ModelRegistry,
    ObjectStore,
    SqlDatabase,
)
from components._core.rules import register_rules
from components._core.workload import container, deployment_spec, http_probe, pod_spec
from components.mlflow import rules
from components.mlflow.config import MlflowConfig

__all__ = ["MlflowComponent"]

PORT = 5000

PREFIX = "artifacts"
"""Where in the bucket the artefacts are; `mlflow-artifacts:/` stands for it."""

DRAIN_SECONDS = 5
"""How long a server that is to go still answers: kube-proxy sends it requests until it has heard of it."""

METRICS = "/var/run/metrics"

KEPT, MORE = 4, 6
"""Connections to the database that each of its two stores, tracking and registry, keeps open and opens when it must."""

CONNECTIONS = 2 * 2 * (KEPT + MORE)
"""Those of both stores, twice: the old server answers until the new one does."""


class MlflowComponent(Component[MlflowConfig]):
    """Tracking and registry in one server; artefacts go through it, so that clients need no key of the bucket."""

    config_class = MlflowConfig
    requires = (KubernetesCluster, SqlDatabase, ObjectStore)
    uses = (MetricsStore,)
    provides = (ExperimentTracker, ModelRegistry)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        self.host = f"{self.name}.{self.namespace}.svc.cluster.local"
        self.allow_ingress(self.namespace, self.name, PORT)
        database = self.needs[SqlDatabase].claim(self.config.database, connections=CONNECTIONS)
        bucket = self.needs[ObjectStore].claim(self.config.bucket)
        credentials = self._credentials(database, bucket)
        server = self._server(bucket, credentials, [database.ready, bucket.ready])
        self.scrape(self.namespace, interval="30s")
        register_rules(self, self.needs.get(MetricsStore), rules.groups(), depends_on=[server])
        # Whoever gets the URL waits for the server that answers there.
        url = server.id.apply(lambda _: f"http://{self.host}:{PORT}")
        return Promises(
            ExperimentTracker(url=url),
            ModelRegistry(url=url, bucket=bucket, artefact_root=self._artefact_root(bucket)),
        )

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            "url": f"http://{self.host}:{PORT}",
            "open": f"kubectl -n {self.namespace} port-forward service/{self.name} {PORT}",
        }

    def _artefact_root(self, bucket: Bucket) -> str:
        return f"s3://{bucket.name}/{PREFIX}"

    def _credentials(self, database: Database, bucket: Bucket) -> kubernetes.core.v1.Secret:
        return kubernetes.core.v1.Secret(
            f"{self.name}-credentials",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            string_data={
                "backend-store-uri": database.url(),
                "webhook-key": self.password("webhooks").apply(
                    # A key of Fernet: 32 bytes, here the digits themselves.
                    lambda digits: base64.urlsafe_b64encode(digits.encode()).decode()
                ),
                "access-key": bucket.access_key,
                "secret-key": bucket.secret_key,
            },
            opts=self.options(),
        )

    def _server(
        self, bucket: Bucket, credentials: kubernetes.core.v1.Secret, ready: list[pulumi.Resource]
    ) -> kubernetes.apps.v1.Deployment:
        metadata: Any = {"name": self.name, "namespace": self.namespace, "labels": labels(self.name)}
        kubernetes.core.v1.Service(
            self.name,
            # The workload is what is waited for; its Service has nothing to settle before it.
            metadata={**metadata, "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={
                "selector": {"app.kubernetes.io/name": self.name},
                "ports": [{"name": "http", "port": PORT, "target_port": "http"}],
            },
            opts=self.options(),
        )
        return kubernetes.apps.v1.Deployment(
            self.name,
            metadata=metadata,
            spec=deployment_spec(
                self.name,
                self._pod(bucket, credentials),
                # The old server answers until the new one does.
                strategy={"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}},
            ),
            opts=self.options(depends_on=ready),
        )

    def _pod(self, bucket: Bucket, credentials: kubernetes.core.v1.Secret) -> Any:
        def from_secret(key: str) -> Any:
            return {"secret_key_ref": {"name": credentials.metadata.name, "key": key}}

        env = {
            "HOME": "/tmp",  # noqa: S108 (a volume of its own)
            "GIT_PYTHON_REFRESH": "quiet",
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_BACKEND_STORE_URI": from_secret("backend-store-uri"),
        }
        mounts = {"/tmp": "tmp", METRICS: "metrics"}  # noqa: S108 (a volume of its own)
        image = images.reference("python")
        # Makes the schema in an empty database too; the server itself refuses one that is not up to date.
        migrate = container(
            "migrate",
            image,
            self.config.resources,
            command=["sh", "-c", 'exec mlflow db upgrade "$MLFLOW_BACKEND_STORE_URI"'],
            env=env,
            mounts=mounts,
        )
        server = container(
            "mlflow",
            image,
            self.config.resources,
            # `mlflow server` in one process instead of two.
            command=["python", "-m", "platform_runtime.tracking"],
            args=self._arguments(bucket),
            env={
                "POD_IP": {"field_ref": {"field_path": "status.podIP"}},
                **env,
                "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(KEPT),
                "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(MORE),
                # Jobs are scorers of GenAI traces; their runner and queues take 1.8 GiB.
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                # Who is told of the registry is in the cluster, behind its network policies: by http, at a private
                # address. Their secrets are encrypted in the database.
                "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
                "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
                "MLFLOW_WEBHOOK_CACHE_TTL": "5",
                "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": from_secret("webhook-key"),
                "MLFLOW_S3_ENDPOINT_URL": bucket.endpoint,
                "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
                "AWS_DEFAULT_REGION": bucket.region,
                "AWS_ACCESS_KEY_ID": from_secret("access-key"),
                "AWS_SECRET_ACCESS_KEY": from_secret("secret-key"),
            },
            ports={"http": PORT},
            mounts=mounts,
            startup=http_probe("/health", "http", period_seconds=1, failure_threshold=300),
            readiness=http_probe("/health", "http", period_seconds=10, timeout_seconds=5),
            liveness=http_probe("/health", "http", period_seconds=20, timeout_seconds=10, failure_threshold=6),
            lifecycle={"pre_stop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        )
        volumes = {"tmp": {"empty_dir": {}}, "metrics": {"empty_dir": {"size_limit": "64Mi"}}}
        return pod_spec(
            [server], init_containers=[migrate], volumes=volumes, termination_grace_period_seconds=30 + DRAIN_SECONDS
        )

    def _arguments(self, bucket: Bucket) -> list[str]:
        origins = self.config.allowed_origins
        return [
            "--host=0.0.0.0",
            f"--port={PORT}",
            "--workers=1",
            "--serve-artifacts",
            f"--artifacts-destination={self._artefact_root(bucket)}",
            f"--expose-prometheus={METRICS}",
            f"--allowed-hosts={','.join(self.allowed_hosts())}",
            *([f"--cors-allowed-origins={','.join(origins)}"] if origins else []),
            "--uvicorn-opts=--timeout-graceful-shutdown=20 --no-access-log",
        ]

    def allowed_hosts(self) -> list[str]:
        """Return the Host headers the server answers to, as patterns; any other gets 403."""
        service = [self.name, f"{self.name}.{self.namespace}", f"{self.name}.{self.namespace}.svc", self.host]
        # Prometheus comes by the address of the pod, people through a forwarded port. MLflow's own default allows
        # every private address by its first digits, and with them the names of others that begin so.
        names = [*service, "localhost", "127.0.0.1", "$(POD_IP)", *self.config.allowed_hosts]
        return [pattern for name in names for pattern in ((name,) if "*" in name else (name, f"{name}:*"))]
