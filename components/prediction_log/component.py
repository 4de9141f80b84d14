"""Run the collector and promise its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import Component, Promises, labels
from components._core.contracts import (
    Bucket,
    Database,
    KubernetesCluster,
    MetricsStore,
    ObjectStore,
    PredictionLog,
    SqlDatabase,
)
from components._core.rules import register_rules
from components._core.workload import container, http_probe, pod_spec, stateful_server
from components.prediction_log import rules
from components.prediction_log.config import PredictionLogConfig

__all__ = ["PredictionLogComponent"]

PORT = 8080

DATABASE = "prediction_log"

READER = "reader"
"""User of the database that may read predictions and truths, and no dead letters."""

BUCKET = "predictions"

SPOOL = "/var/lib/prediction-log"

CONNECTIONS = 6
"""To the database, of the one collector that there is at a time."""


class PredictionLogComponent(Component[PredictionLogConfig]):
    """One collector: model servers send it their events, everybody else labels and questions."""

    config_class = PredictionLogConfig
    requires = (KubernetesCluster, SqlDatabase, ObjectStore)
    uses = (MetricsStore,)
    provides = (PredictionLog,)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        # Predictors are in a namespace of the platform too.
        self.allow_ingress(self.namespace, self.name, PORT)
        database = self.needs[SqlDatabase].claim(DATABASE, users=(READER,), connections=CONNECTIONS)
        bucket = self.needs[ObjectStore].claim(BUCKET)
        server = stateful_server(
            self,
            self.namespace,
            self._pod(database, bucket, self._credentials(database, bucket)),
            ports={"http": PORT},
            size=self.config.storage,
            protect=self.config.protect,
        )
        self.scrape(self.namespace, interval="15s")
        register_rules(self, self.needs.get(MetricsStore), rules.groups())
        return Promises(
            PredictionLog(
                # Whoever gets the URL waits for the server that answers there.
                url=server.id.apply(lambda _: self._url),
                database=database,
                bucket=bucket,
                namespace=self.namespace,
            )
        )

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            "url": self._url,
            "open": f"kubectl -n {self.namespace} port-forward service/{self.name} {PORT}",
        }

    @property
    def _url(self) -> str:
        return f"http://{self.name}.{self.namespace}.svc.cluster.local:{PORT}"

    def _credentials(self, database: Database, bucket: Bucket) -> kubernetes.core.v1.Secret:
        return kubernetes.core.v1.Secret(
            f"{self.name}-credentials",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            string_data={
                "database": database.url(),
                "key": self.password("key"),
                "access-key": bucket.access_key,
                "secret-key": bucket.secret_key,
            },
            # The collector starts without its database and waits for it; but it need not start before there is any.
            opts=self.options(depends_on=[database.ready, bucket.ready]),
        )

    def _pod(self, database: Database, bucket: Bucket, credentials: kubernetes.core.v1.Secret) -> Any:
        def from_secret(key: str) -> Any:
            return {"secret_key_ref": {"name": credentials.metadata.name, "key": key}}

        config = self.config
        collector = container(
            "collector",
            images.reference("python"),
            config.resources,
            command=["python", "-m", "platform_runtime.prediction_log"],
            env={
                "PREDICTION_LOG_DATABASE": from_secret("database"),
                "PREDICTION_LOG_CONNECTIONS": str(CONNECTIONS),
                "PREDICTION_LOG_KEY": from_secret("key"),
                "PREDICTION_LOG_READER": database.users[READER].username,
                "PREDICTION_LOG_SPOOL": SPOOL,
                "PREDICTION_LOG_SPOOL_BYTES": str(config.spool_mib << 20),
                "PREDICTION_LOG_BODY_BYTES": str(config.body_mib << 20),
                "PREDICTION_LOG_RULES": json.dumps(config.sensitive, sort_keys=True),
                "PREDICTION_LOG_RETENTION_DAYS": str(config.retention_days),
                "PREDICTION_LOG_ARCHIVE_DAYS": str(config.archive_days),
                "PREDICTION_LOG_DEAD_LETTER_DAYS": str(config.dead_letter_days),
                "PREDICTION_LOG_ARCHIVE_SECONDS": str(config.archive_seconds),
                "PREDICTION_LOG_ARCHIVE": f"s3://{bucket.name}",
                "PREDICTION_LOG_PORT": str(PORT),
                "AWS_ENDPOINT_URL": bucket.endpoint,
                "AWS_DEFAULT_REGION": bucket.region,
                "AWS_ACCESS_KEY_ID": from_secret("access-key"),
                "AWS_SECRET_ACCESS_KEY": from_secret("secret-key"),
                # No cloud is asked who we are, which would take seconds where there is none.
                "AWS_EC2_METADATA_DISABLED": "true",
                "MALLOC_ARENA_MAX": "2",
            },
            ports={"http": PORT},
            mounts={SPOOL: "data/spool", "/tmp": "tmp"},  # noqa: S108 (a volume of its own)
            startup=http_probe("/readyz", "http", period_seconds=1, failure_threshold=120),
            readiness=http_probe("/readyz", "http", period_seconds=5, timeout_seconds=5),
            liveness=http_probe("/healthz", "http", period_seconds=20, timeout_seconds=10, failure_threshold=6),
        )
        volumes = {
            "data": {"persistent_volume_claim": {"claim_name": "data"}},
            "tmp": {"empty_dir": {"size_limit": "64Mi"}},
        }
        return pod_spec([collector], volumes=volumes, termination_grace_period_seconds=60)
