"""Run PostgreSQL on a volume and hand out databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images
from components._core.component import Component, Promises, labels
from components._core.config import Resources
from components._core.contracts import Database, Login, MetricsStore, SqlDatabase
from components._core.errors import PlatformError, TooFewConnectionsError
from components._core.rules import register_rules
from components._core.workload import container, pod_spec, pod_template, stateful_server, tcp_probe
from components.postgres import files, rules
from components.postgres.config import PostgresConfig

__all__ = ["PostgresComponent"]

CLAIM = "postgres-claim"
"""Name of the pods that create databases; the server's Service must not select them."""


CLAIM_RESOURCES = Resources.model_validate({"cpu": "10m", "memory": "16Mi", "cpuLimit": "500m", "memoryLimit": "64Mi"})


class PostgresComponent(Component[PostgresConfig]):
    """One server, one volume; each claim is a Job that creates a database and its owner, and may run again."""

    config_class = PostgresConfig
    uses = (MetricsStore,)
    provides = (SqlDatabase,)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        self.host = f"{self.name}.{self.namespace}.svc.cluster.local"
        self.allow_ingress(self.namespace, self.name, files.PORT)
        self.superuser = self._secret("superuser", self.password("superuser"))
        self.claim_files = self._config_map(
            CLAIM,
            {"claim.sh": files.CLAIM_SCRIPT, "claim.sql": files.CLAIM_SQL, "user.sql": files.USER_SQL},
            app=CLAIM,
        )
        self.server = stateful_server(
            self,
            self.namespace,
            self._server_pod(),
            ports={"postgres": files.PORT},
            size=self.config.storage,
            protect=self.config.protect,
        )
        register_rules(self, self.needs.get(MetricsStore), rules.groups(), depends_on=[self.server])
        self.connections = {"the superuser": files.RESERVED}
        return Promises(SqlDatabase(claim=self.claim))

    @property
    def outputs(self) -> Mapping[str, Any]:
        return {
            "address": f"{self.host}:{files.PORT}",
            "open": f"kubectl -n {self.namespace} port-forward service/{self.name} {files.PORT}",
        }

    def problems(self) -> Iterable[PlatformError]:
        accepted = self.config.max_connections
        if accepted < sum(self.connections.values()):
            yield TooFewConnectionsError(("components", "postgres", "maxConnections"), accepted, self.connections)

    def claim(self, name: str, users: tuple[str, ...] = (), *, connections: int) -> Database:
        """Create the named database, an owner of the same name and a user `<name>_<user>` for each of `users`.

        Raises ValueError when the name was claimed before.
        """
        if name in self.connections:
            msg = f"database {name!r} is claimed twice: every consumer needs a name of its own"
            raise ValueError(msg)
        self.connections[name] = connections
        # Kubernetes allows no `_` in names, PostgreSQL no `-` without quotes.
        resource = name.replace("_", "-")
        password = self.password(resource)
        logins = {user: Login(f"{name}_{user}", self.password(f"{resource}-{user}")) for user in users}
        passwords = {user: login.password for user, login in logins.items()}
        job = kubernetes.batch.v1.Job(
            f"{CLAIM}-{resource}",
            metadata={"namespace": self.namespace, "labels": labels(CLAIM)},
            spec={
                "backoff_limit": 4,
                "active_deadline_seconds": 300,
                "template": pod_template(
                    CLAIM, self._claim_pod(name, users, self._secret(resource, password, passwords))
                ),
            },
            opts=self.options(depends_on=[self.server]),
        )
        return Database(
            host=pulumi.Output.from_input(self.host),
            port=files.PORT,
            name=name,
            username=name,
            password=password,
            ready=job,
            users=logins,
            share=lambda component, more: self.connections.update({f"{component} in {name}": more}),
        )

    def _secret(
        self, name: str, password: pulumi.Output[str], users: Mapping[str, pulumi.Output[str]] | None = None
    ) -> kubernetes.core.v1.Secret:
        return kubernetes.core.v1.Secret(
            f"{self.name}-{name}",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            string_data={"password": password, **(users or {})},
            opts=self.options(),
        )

    def _config_map(self, name: str, data: dict[str, str], app: str) -> kubernetes.core.v1.ConfigMap:
        return kubernetes.core.v1.ConfigMap(
            name,
            metadata={"namespace": self.namespace, "labels": labels(app)},
            data=data,
            opts=self.options(),
        )

    def _server_pod(self) -> Any:
        config = self._config_map(
            self.name,
            {
                "passwd": files.PASSWD,
                "pg_hba.conf": files.HBA,
                "postgresql.conf": files.settings(self.config),
                "start.sh": files.start_script(),
            },
            app=self.name,
        )
        server = container(
            "postgres",
            images.reference("postgres"),
            self.config.resources,
            command=["sh", "/etc/postgres/start.sh"],
            ports={"postgres": files.PORT},
            mounts={
                "/etc/passwd": "config/passwd",
                "/etc/postgres": "config",
                "/run/secrets/superuser": "superuser",
                "/tmp": "tmp",  # noqa: S108 (a volume of its own)
                "/var/lib/postgresql/data": "data",
            },
            # Only the real server listens on TCP: neither initdb nor the single-user run does.
            startup=tcp_probe("postgres", period_seconds=2, failure_threshold=150),
            readiness=tcp_probe("postgres", period_seconds=10),
            liveness=tcp_probe("postgres", period_seconds=20, failure_threshold=6),
            # SIGTERM waits for every client to go away; a fast shutdown ends their sessions and writes a checkpoint.
            lifecycle={"pre_stop": {"exec_": {"command": ["pg_ctl", "stop", "--mode=fast", f"--pgdata={files.DATA}"]}}},
        )
        return pod_spec(
            [server],
            volumes={
                "config": {"config_map": {"name": config.metadata.name}},
                "superuser": {"secret": {"secret_name": self.superuser.metadata.name}},
                "tmp": {"empty_dir": {"size_limit": "64Mi"}},
                "data": {"persistent_volume_claim": {"claim_name": "data"}},
            },
            termination_grace_period_seconds=60,
        )

    def _claim_pod(self, name: str, users: tuple[str, ...], passwords: kubernetes.core.v1.Secret) -> Any:
        def password(secret: kubernetes.core.v1.Secret) -> Any:
            return {"secret_key_ref": {"name": secret.metadata.name, "key": "password"}}

        claim = container(
            "claim",
            images.reference("postgres"),
            CLAIM_RESOURCES,
            command=["sh", "/etc/claim/claim.sh"],
            env={
                "PGHOST": self.host,
                "PGUSER": files.SUPERUSER,
                "PGDATABASE": "postgres",
                "PGCONNECT_TIMEOUT": "10",
                "PGPASSWORD": password(self.superuser),
                "CLAIM_NAME": name,
                "CLAIM_PASSWORD": password(passwords),
                "CLAIM_USERS": " ".join(users),
            },
            mounts={"/etc/claim": "claim", "/run/secrets/claim": "passwords"},
        )
        volumes = {
            "claim": {"config_map": {"name": self.claim_files.metadata.name}},
            "passwords": {"secret": {"secret_name": passwords.metadata.name}},
        }
        return pod_spec([claim], volumes=volumes, restart_policy="Never")
