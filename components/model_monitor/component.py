"""Run the model monitor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import Component, Promises, labels
from components._core.contracts import (
    Database,
    ExperimentTracker,
    KubernetesCluster,
    Login,
    MetricsStore,
    PredictionLog,
)
from components._core.rules import register_rules
from components._core.workload import container, deployment_spec, http_probe, pod_spec
from components.model_monitor import rules
from components.model_monitor.config import ModelMonitorConfig

__all__ = ["ModelMonitorComponent"]

PORT = 8080

CONNECTIONS = 2
"""To the log's database: one measurement at a time, which may count while it reads."""

READER = "reader"
"""User of the prediction log's database that may read and nothing else."""


class ModelMonitorComponent(Component[ModelMonitorConfig]):
    """Reads the log and the profiles, keeps nothing itself: what it found is in Prometheus and in MLflow."""

    config_class = ModelMonitorConfig
    requires = (KubernetesCluster, PredictionLog, ExperimentTracker)
    uses = (MetricsStore,)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        self.allow_ingress(self.namespace, self.name, PORT)
        database = self.needs[PredictionLog].database
        database.share("modelMonitor", CONNECTIONS)
        self._server(self._credentials(database, database.users[READER]), database)
        self.scrape(self.namespace)
        register_rules(self, self.needs.get(MetricsStore), rules.groups(self.config.alerts))
        return Promises()

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            "url": f"http://{self.name}.{self.namespace}.svc.cluster.local:{PORT}",
            "open": f"kubectl -n {self.namespace} port-forward service/{self.name} {PORT}",
        }

    def _credentials(self, database: Database, reader: Login) -> kubernetes.core.v1.Secret:
        return kubernetes.core.v1.Secret(
            f"{self.name}-credentials",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            string_data={"database-url": database.url(reader)},
            opts=self.options(),
        )

    def _server(self, credentials: kubernetes.core.v1.Secret, database: Database) -> None:
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
        program = container(
            self.name,
            images.reference("python"),
            self.config.resources,
            command=["python", "-m", "platform_runtime.model_monitor"],
            env={
                **self._settings(),
                "PREDICTION_LOG_DATABASE_URL": {
                    "secret_key_ref": {"name": credentials.metadata.name, "key": "database-url"}
                },
                "MLFLOW_TRACKING_URI": self.needs[ExperimentTracker].url,
            },
            ports={"http": PORT},
            mounts={"/tmp": "tmp"},  # noqa: S108 (a volume of its own)
            startup=http_probe("/readyz", "http", period_seconds=1, failure_threshold=120),
            readiness=http_probe("/readyz", "http", period_seconds=10, timeout_seconds=5),
            liveness=http_probe("/healthz", "http", period_seconds=20, timeout_seconds=10, failure_threshold=6),
        )
        kubernetes.apps.v1.Deployment(
            self.name,
            metadata=metadata,
            spec=deployment_spec(
                self.name,
                pod_spec([program], volumes={"tmp": {"empty_dir": {"size_limit": "64Mi"}}}),
                # Two would give every series twice.
                strategy={"type": "Recreate"},
            ),
            opts=self.options(depends_on=[database.ready]),
        )

    def _settings(self) -> dict[str, Any]:
        config = self.config
        return {
            "HOME": "/tmp",  # noqa: S108 (a volume of its own)
            "GIT_PYTHON_REFRESH": "quiet",
            "DO_NOT_TRACK": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # MLflow's own patience is minutes; the next measurement is another try.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
            # Each thread of a library and each arena of the allocator keeps memory that nothing uses.
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
            "MODEL_MONITOR_PORT": str(PORT),
            "MODEL_MONITOR_INTERVAL_SECONDS": str(config.interval_seconds),
            "MODEL_MONITOR_WINDOW_SECONDS": str(config.window_seconds),
            "MODEL_MONITOR_LABEL_WINDOW_SECONDS": str(config.label_window_seconds),
            "MODEL_MONITOR_REPORT_INTERVAL_SECONDS": str(config.report_interval_seconds),
            "MODEL_MONITOR_MINIMUM_ROWS": str(config.minimum_rows),
            "MODEL_MONITOR_MINIMUM_GROUP": str(config.minimum_group),
            "MODEL_MONITOR_MAX_FEATURES": str(config.max_features),
            "MODEL_MONITOR_THRESHOLDS": config.thresholds.model_dump_json(),
        }
