"""Run the auditor and promise what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import images, paths
from components._core.component import Component, Promises, labels
from components._core.contracts import (
    AlertRouter,
    Auditor,
    Database,
    KubernetesCluster,
    MetricsStore,
    ModelRegistry,
    ModelServing,
    PredictionLog,
    SqlDatabase,
)
from components._core.manifest import Manifest
from components._core.rules import register_receiver, register_rules
from components.cabc_auditor import objects, rules, settings
from components.cabc_auditor.config import CabcAuditorConfig
from components.cabc_auditor.keys import SigningKey
from components.cabc_auditor.objects import NAME, PARTS, REGISTRY_HOOK, Part, Values

__all__ = ["CabcAuditorComponent"]

DATABASE = "cabc"
"""Name of the claimed database; the auditor grants to `cabc_collect`, `cabc_assess`, `cabc_publish`, `cabc_read`."""

SIGNERS = ("collect", "assess", "publish")


class CabcAuditorComponent(Component[CabcAuditorConfig]):
    """Collector, assessor and publisher, each with the rights of its part; connections follow from the contracts."""

    config_class = CabcAuditorConfig
    requires = (KubernetesCluster, SqlDatabase)
    uses = (ModelRegistry, ModelServing, PredictionLog, MetricsStore, AlertRouter)
    provides = (Auditor,)

    def deploy(self) -> Promises:
        self.namespace = self.create_namespace()
        self.parts = PARTS[self.config.processes]
        self.collector = next(part for part in self.parts if part.collects)
        serving = self.needs.get(ModelServing)
        self.models = tuple(dict.fromkeys([*([serving.namespace] if serving else []), *self.config.namespaces]))
        self.database = self.needs[SqlDatabase].claim(
            DATABASE,
            users=(*SIGNERS, "read"),
            # Old pods answer until new ones do; beside them one verifies the record, and a Job migrates the tables.
            connections=(2 * len(self.parts) + 1) * settings.CONNECTIONS + 1,
        )
        if log := self.needs.get(PredictionLog):
            log.database.share("cabcAuditor", 2 * settings.QUERIES)
        self.keys = {role: SigningKey(f"{NAME}-{role}", opts=pulumi.ResourceOptions(parent=self)) for role in SIGNERS}
        self.tokens = {role: self.password(f"token-{role}") for role in settings.TOKENS}
        self.hooks = {name: self.password(f"hook-{name}") for name in settings.HOOKS}
        for part in self.parts:
            self.allow_ingress(self.namespace, part.name, settings.PORT)
        values = self._values()
        running = self._auditor(values)
        self._registry(values, running)
        self._monitor(values)
        register_rules(self, self.needs.get(MetricsStore), rules.groups(self.config.stale_after_hours))
        register_receiver(
            self,
            self.needs.get(AlertRouter),
            self._hook("alerts"),
            bearer_token=self.hooks["alerts"],
            owners=("models",),
            # It judges by evidence of its own, so what people need not be told yet is worth a look.
            severities=("critical", "warning", "info"),
        )
        # Whoever gets the URL waits for what answers there.
        ready = pulumi.Output.all(*(deployment.id for deployment in running.values()))
        return Promises(
            Auditor(
                url=ready.apply(lambda _: self._url(self.parts[0])),
                token=self.tokens["reader"],
                hook=ready.apply(lambda _: self._hook("platform")),
                hook_secret=self.hooks["platform"],
                namespace=self.namespace,
            )
        )

    @property
    def outputs(self) -> Mapping[str, Any]:
        secret = f"kubectl -n {self.namespace} get secret {NAME}-tokens -o jsonpath='{{.data.reader}}' | base64 -d"
        return {
            "url": self._url(self.parts[0]),
            "status": f"{self._url(self.parts[0])}/status",
            "open": f"kubectl -n {self.namespace} port-forward service/{NAME} {settings.PORT}",
            "token": secret,
        }

    def _url(self, part: Part) -> str:
        return f"http://{part.name}.{self.namespace}.svc.cluster.local:{settings.PORT}"

    def _hook(self, name: str) -> str:
        return f"{self._url(self.collector)}/hooks/{name}"

    def _values(self) -> Values:
        hashes = pulumi.Output.all(**self.tokens).apply(
            lambda tokens: {role: hashlib.sha256(token.encode()).hexdigest() for role, token in tokens.items()}
        )
        places = self._places()
        pages = settings.pages(places)
        # Of a random token the hash gives nothing away, and a preview that shows the settings is worth having.
        text = pulumi.Output.unsecret(
            hashes.apply(lambda found: settings.settings(self.config, found, watch=self.models, pages=pages))
        )
        connections = pulumi.Output.from_input(places).apply(
            lambda places: settings.connections(places, self.config.connections)
        )
        public = {
            **{f"{role}.pub": key.public for role, key in self.keys.items()},
            **{f"{name}.pub": pem for name, pem in self.config.retired_keys.items()},
        }
        specifications = {f"{name}.yaml": _read(file) for name, file in sorted(self.config.specifications.items())}
        documents = {Path(file).name: _read(file) for file in self.config.documents}
        credentials = [self.database.password, *(login.password for login in self.database.users.values())]
        log = self.needs.get(PredictionLog)
        credentials += [log.database.users["reader"].password] if log else []
        digest = pulumi.Output.unsecret(
            pulumi.Output.all(text, connections, public, *credentials, *self.hooks.values()).apply(
                lambda found: _digest([*found, specifications, documents])
            )
        )
        return Values(
            namespace=self.namespace,
            image=images.reference("cabc"),
            job_name=self._job_name,
            resources=self.config.resources,
            reads_evidence=bool(pages),
            settings=text,
            connections=connections,
            public_keys=public,
            public_key_items=[{"key": name, "path": f"keys/{name}"} for name in sorted(public)],
            specifications=specifications,
            specification_sources=[
                {"configMap": {"name": f"{NAME}-specifications"}},
                *(
                    {"configMap": {"name": name, "items": [{"key": "specification.yaml", "path": f"{name}.yaml"}]}}
                    for name in self.config.specifications_from
                ),
            ],
            documents=documents,
            digest=digest,
            storage=self.config.storage,
            storage_class=self.cluster.storage_class,
            verify=f"23 */{self.config.verify_every_hours} * * *",
        )

    def _job_name(self, name: str, made: Mapping[str, Any]) -> pulumi.Output[str]:
        """Name a Job by what it is made of and by the credentials that it gives or uses."""
        users = {login.username: login.password for login in self.database.users.values()}
        used: dict[str, dict[str, Any]] = {
            "migrate": {"owner": self._address(None), "users": users},
            "subscribe": {"hook": self.hooks["registry"]},
        }
        named = pulumi.Output.all(made, used[name]).apply(lambda found: objects.job_name(name, *found))
        return pulumi.Output.unsecret(named)

    def _places(self) -> dict[str, Any]:
        """Return where the platform's parts are, as far as the order form has them."""
        found: dict[str, Any] = {}
        if registry := self.needs.get(ModelRegistry):
            found["mlflow"] = registry.url
        if metrics := self.needs.get(MetricsStore):
            found["prometheus"] = metrics.url
        if self.models:
            found["models"] = self.models
        if log := self.needs.get(PredictionLog):
            reader = log.database.users["reader"].username
            found["collector"] = log.url
            found["predictions"] = pulumi.Output.format(
                "postgresql+psycopg://{0}@{1}:{2}/{3}", reader, log.database.host, log.database.port, log.database.name
            )
        return found

    def _auditor(self, values: Values) -> dict[str, pulumi.CustomResource]:
        """Register all objects; return the Deployments by the role of their part."""
        secrets = self._secrets()
        made = objects.auditor(values, self.parts)
        workloads = {name for name in made if name.startswith("deployment-")}
        first: dict[str, pulumi.Resource] = {}
        for name in sorted(made.keys() - workloads - {"migrate"}):
            first[name] = self._register(name, made[name])
        migrated = self._register("migrate", made["migrate"], depends_on=[self.database.ready, *secrets])
        access = self._access(values)
        return {
            name.removeprefix("deployment-"): self._register(
                name, made[name], depends_on=[*first.values(), *secrets, *access, migrated]
            )
            for name in sorted(workloads)
        }

    def _register(
        self, name: str, manifest: dict[str, Any], *, depends_on: Sequence[pulumi.Resource] = ()
    ) -> pulumi.CustomResource:
        if manifest["kind"] == "Service":
            # The workload is what is waited for; its Service has nothing to settle before it.
            manifest = {
                **manifest,
                "metadata": {**manifest["metadata"], "annotations": {"pulumi.com/skipAwait": "true"}},
            }
        protect = manifest["kind"] == "PersistentVolumeClaim" and self.config.protect
        return Manifest(f"{NAME}-{name}", manifest, self.options(depends_on=depends_on, protect=protect))

    def _secrets(self) -> list[pulumi.Resource]:
        """Give each part its own credentials and keys, and nobody those of another."""
        found = [
            self._secret("owner", {"database": self._address(None)}),
            self._secret("read", {"database": self._address("read")}),
            self._secret("tokens", dict(self.tokens)),
        ]
        log = self.needs.get(PredictionLog)
        outside = {
            **{f"hook-{name}": secret for name, secret in self.hooks.items()},
            "predictions": log.database.users["reader"].password if log else "",
        }
        for part in self.parts:
            known: dict[str, Any] = {"database": self._address(part.user), **outside}
            content = {key: known[key] for key in part.credentials}
            content |= {f"{role}.key": self.keys[role].private for role in part.signs}
            found.append(self._secret(part.name.removeprefix(NAME).lstrip("-"), content))
        return found

    def _secret(self, suffix: str, content: dict[str, Any]) -> pulumi.Resource:
        name = f"{NAME}-{suffix}" if suffix else NAME
        secret: pulumi.Resource = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": name, "namespace": self.namespace, "labels": labels(NAME)},
            string_data=content,
            opts=self.options(),
        )
        return secret

    def _address(self, user: str | None) -> pulumi.Output[str]:
        database: Database = self.database
        login = database.users[user] if user else database

        def address(values: Any) -> str:
            host, password = values
            return (
                f"postgresql+psycopg://{quote(login.username, safe='')}:{quote(password, safe='')}"
                f"@{host}:{database.port}/{database.name}"
            )

        return pulumi.Output.secret(pulumi.Output.all(database.host, login.password).apply(address))

    def _access(self, values: Values) -> list[pulumi.Resource]:
        """Let the part that collects see what serves models."""
        serving = self.needs.get(ModelServing)
        return [
            self._register(f"{namespace}-{name}", manifest, depends_on=[serving.ready] if serving else [])
            for namespace in self.models
            for name, manifest in objects.access(values, self.collector, namespace).items()
        ]

    def _registry(self, values: Values, running: Mapping[str, pulumi.CustomResource]) -> None:
        """Have the registry tell what changes in it."""
        registry = self.needs.get(ModelRegistry)
        if registry is None:
            return
        made = objects.registry_hook(values, self.collector, registry=registry.url, script=REGISTRY_HOOK.read_text())
        first = self._register("registry-hook", made["registry-hook"])
        self._register("subscribe", made["subscribe"], depends_on=[first, *running.values()])

    def _monitor(self, values: Values) -> None:
        """Have the processes scraped, with the token of a reader."""
        metrics = self.needs.get(MetricsStore)
        if metrics is None:
            return
        secret = kubernetes.core.v1.Secret(
            f"{NAME}-scrape",
            metadata={"name": f"{NAME}-scrape", "namespace": metrics.namespace, "labels": labels(NAME)},
            string_data={"token": self.tokens["reader"]},
            opts=self.options(depends_on=[metrics.ready]),
        )
        monitor = objects.monitor(values, namespace=metrics.namespace, selector={**labels(NAME), **metrics.selector})
        self._register("monitor", monitor, depends_on=[metrics.ready, secret])


def _read(file: str) -> str:
    return (paths.CHECKOUT / file).read_text()


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
