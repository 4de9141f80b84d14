"""Run an S3 server over a volume and hand out buckets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import Component, Promises, labels
from components._core.config import Resources
from components._core.contracts import Bucket, MetricsStore, ObjectStore
from components._core.rules import register_rules
from components._core.workload import container, http_probe, pod_spec, pod_template, stateful_server
from components.object_store import rules
from components.object_store.config import ObjectStoreConfig

__all__ = ["ObjectStoreComponent"]

CLAIM = "object-store-claim"
"""Name of the pods that create buckets; the server's Service must not select them."""

PORT = 7070
ADMIN_PORT = 7071
"""Port of the admin API: no network policy opens it to other namespaces."""

ROOT = "root"
"""Access key of the administrator."""


CLAIM_RESOURCES = Resources.model_validate({"cpu": "10m", "memory": "64Mi", "cpuLimit": "1", "memoryLimit": "192Mi"})


class ObjectStoreComponent(Component[ObjectStoreConfig]):
    """One server, one volume; each claim is a Job that creates a bucket and its owner, and may run again."""

    config_class = ObjectStoreConfig
    uses = (MetricsStore,)
    provides = (ObjectStore,)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        self.host = f"{self.name}.{self.namespace}.svc.cluster.local"
        self.allow_ingress(self.namespace, self.name, PORT)
        self.root = self._secret("root", self.password("root"))
        self.claim_files = kubernetes.core.v1.ConfigMap(
            CLAIM,
            metadata={"namespace": self.namespace, "labels": labels(CLAIM)},
            data={"claim.py": Path(__file__).with_name("claim.py").read_text()},
            opts=self.options(),
        )
        self.server = stateful_server(
            self,
            self.namespace,
            self._server_pod(),
            ports={"s3": PORT, "admin": ADMIN_PORT},
            size=self.config.storage,
            protect=self.config.protect,
        )
        register_rules(self, self.needs.get(MetricsStore), rules.groups(), depends_on=[self.server])
        self.claimed: set[str] = set()
        return Promises(ObjectStore(claim=self.claim))

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            "url": f"http://{self.host}:{PORT}",
            "open": f"kubectl -n {self.namespace} port-forward service/{self.name} {PORT}",
        }

    def claim(self, bucket: str) -> Bucket:
        """Create the named bucket and an owner of the same name.

        Raises ValueError when it was claimed before or when S3 allows no such name.
        """
        if bucket in self.claimed:
            msg = f"bucket {bucket!r} is claimed twice: every consumer needs a name of its own"
            raise ValueError(msg)
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
            msg = f"bucket {bucket!r}: found a name S3 refuses, wanted 3 to 63 lower-case letters, digits and inner `-`"
            raise ValueError(msg)
        self.claimed.add(bucket)
        password = self.password(bucket)
        job = kubernetes.batch.v1.Job(
            f"{CLAIM}-{bucket}",
            metadata={"namespace": self.namespace, "labels": labels(CLAIM)},
            spec={
                "backoff_limit": 4,
                "active_deadline_seconds": 300,
                "template": pod_template(CLAIM, self._claim_pod(bucket, self._secret(bucket, password))),
            },
            opts=self.options(depends_on=[self.server]),
        )
        return Bucket(
            endpoint=pulumi.Output.from_input(f"http://{self.host}:{PORT}"),
            region=self.config.region,
            name=bucket,
            access_key=pulumi.Output.from_input(bucket),
            secret_key=password,
            ready=job,
        )

    def _secret(self, name: str, password: pulumi.Output[str]) -> kubernetes.core.v1.Secret:
        return kubernetes.core.v1.Secret(
            f"{self.name}-{name}",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            string_data={"secret-key": password},
            opts=self.options(),
        )

    def _root_credentials(self) -> dict[str, Any]:
        return {
            "ROOT_ACCESS_KEY_ID": ROOT,
            "ROOT_SECRET_ACCESS_KEY": {"secret_key_ref": {"name": self.root.metadata.name, "key": "secret-key"}},
        }

    def _server_pod(self) -> Any:
        server = container(
            "versitygw",
            images.reference("versitygw"),
            self.config.resources,
            args=[
                f"--port=:{PORT}",
                f"--admin-port=:{ADMIN_PORT}",
                f"--region={self.config.region}",
                "--iam-dir=/iam",
                "--health=/health",
                "--quiet",
                "posix",
                "/buckets",
            ],
            env=self._root_credentials(),
            ports={"s3": PORT, "admin": ADMIN_PORT},
            mounts={"/buckets": "data/buckets", "/iam": "data/iam"},
            startup=http_probe("/health", "s3", period_seconds=2, failure_threshold=60),
            readiness=http_probe("/health", "s3", period_seconds=10),
            liveness=http_probe("/health", "s3", period_seconds=20, failure_threshold=6),
        )
        volumes = {"data": {"persistent_volume_claim": {"claim_name": "data"}}}
        return pod_spec([server], volumes=volumes, termination_grace_period_seconds=30)

    def _claim_pod(self, bucket: str, owner: kubernetes.core.v1.Secret) -> Any:
        claim = container(
            "claim",
            images.reference("python"),
            CLAIM_RESOURCES,
            command=["python", "/etc/claim/claim.py"],
            env={
                "ENDPOINT": f"http://{self.host}:{ADMIN_PORT}",
                "REGION": self.config.region,
                "CLAIM_BUCKET": bucket,
                "CLAIM_SECRET_KEY": {"secret_key_ref": {"name": owner.metadata.name, "key": "secret-key"}},
                **self._root_credentials(),
            },
            mounts={"/etc/claim": "claim"},
        )
        volumes = {"claim": {"config_map": {"name": self.claim_files.metadata.name}}}
        return pod_spec([claim], volumes=volumes, restart_policy="Never")
