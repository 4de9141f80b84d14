"""Run Grafana with the platform's dashboards, where its image can be had."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import sources
from components._core.component import Component, Promises, labels
from components._core.contracts import AlertRouter, Dashboards, KubernetesCluster, MetricsStore
from components._core.rules import register_rules
from components._core.sources import Source
from components._core.workload import container, deployment_spec, http_probe, pod_spec
from components.grafana import rules
from components.grafana.config import IMAGE, GrafanaConfig
from components.grafana.dashboards import DASHBOARDS
from components.grafana.rendering import ALERTS, METRICS, render

__all__ = ["GrafanaComponent", "image"]

PORT = 3000

PROVISIONING = "/etc/grafana/provisioning"
PAGES = "/etc/grafana/dashboards"
DATA = "/var/lib/grafana"


def image(config: GrafanaConfig, source: Source | None) -> str | None:
    """Return the image to run, None where there is none: nobody offers Grafana in a package registry."""
    if config.image:
        return config.image
    return None if source is Source.REGISTRY_ONLY else IMAGE


class GrafanaComponent(Component[GrafanaConfig]):
    """Datasources and dashboards are files in the pod: no sidecar, no database, nothing to restore."""

    config_class = GrafanaConfig
    requires = (KubernetesCluster, MetricsStore)
    uses = (AlertRouter,)
    provides = (Dashboards,)

    def deploy(self) -> Promises:
        self.image = image(self.config, sources.chosen())
        self.namespace = self.create_namespace()
        self.host = f"{self.name}.{self.namespace}.svc.cluster.local"
        # Prices are needed by `mlops dash` as well, which is there without Grafana.
        register_rules(self, self.needs[MetricsStore], rules.groups(self.config.prices))
        if self.image is None:
            pulumi.log.info(self._left_out, resource=self)
            return Promises()
        self.allow_ingress(self.namespace, self.name, PORT)
        server = self._server(self.image)
        self.scrape(self.namespace, interval="30s")
        return Promises(Dashboards(url=server.id.apply(lambda _: f"http://{self.host}:{PORT}")))

    @property
    def outputs(self) -> Mapping[str, Any]:
        if self.image is None:
            return {"leftOut": self._left_out}
        return {
            "url": f"http://{self.host}:{PORT}",
            "open": f"kubectl -n {self.namespace} port-forward service/{self.name} {PORT}",
            "login": f"admin, with the key `password` of Secret {self.namespace}/{self.name}-admin",
        }

    @property
    def _left_out(self) -> str:
        return (
            f"Grafana does not run: its image {IMAGE.partition('@')[0]} is in no package registry, and nothing else is"
            " reachable (source registry-only). `mlops dash` shows the same panels; to have Grafana, set"
            " `grafana.image` to a mirror that the nodes reach."
        )

    def _server(self, reference: str) -> kubernetes.apps.v1.Deployment:
        metadata: Any = {"name": self.name, "namespace": self.namespace, "labels": labels(self.name)}
        secret = kubernetes.core.v1.Secret(
            f"{self.name}-admin",
            metadata={**metadata, "name": f"{self.name}-admin"},
            # `key` encrypts what Grafana keeps and signs its sessions.
            string_data={"password": self.password("admin"), "key": self.password("key")},
            opts=self.options(),
        )
        # No name of their own: other content makes another name, and with it another pod.
        config = kubernetes.core.v1.ConfigMap(
            f"{self.name}-provisioning",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            data={"datasources.yaml": self._datasources(), "dashboards.yaml": provider()},
            opts=self.options(),
        )
        pages = kubernetes.core.v1.ConfigMap(
            f"{self.name}-dashboards",
            metadata={"namespace": self.namespace, "labels": labels(self.name)},
            data={f"{name}.json": render(page) for name, page in DASHBOARDS.items()},
            opts=self.options(),
        )
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
            "grafana",
            reference,
            self.config.resources,
            env=self._environment(secret),
            ports={"http": PORT},
            mounts={
                "/tmp": "tmp",  # noqa: S108 (a volume of its own)
                DATA: "data",
                f"{PROVISIONING}/datasources": "datasources",
                f"{PROVISIONING}/dashboards": "providers",
                PAGES: "pages",
            },
            startup=http_probe("/api/health", "http", period_seconds=1, failure_threshold=120),
            readiness=http_probe("/api/health", "http", period_seconds=10),
            liveness=http_probe("/api/health", "http", period_seconds=20, timeout_seconds=5),
        )

        def file(source: kubernetes.core.v1.ConfigMap, name: str) -> Any:
            return {"config_map": {"name": source.metadata.name, "items": [{"key": name, "path": name}]}}

        volumes = {
            "tmp": {"empty_dir": {}},
            "data": {"empty_dir": {"size_limit": "256Mi"}},
            "datasources": file(config, "datasources.yaml"),
            "providers": file(config, "dashboards.yaml"),
            "pages": {"config_map": {"name": pages.metadata.name}},
        }
        return kubernetes.apps.v1.Deployment(
            self.name,
            metadata=metadata,
            spec=deployment_spec(self.name, pod_spec([program], volumes=volumes)),
            opts=self.options(),
        )

    def _environment(self, secret: kubernetes.core.v1.Secret) -> dict[str, Any]:
        def from_secret(key: str) -> Any:
            return {"secret_key_ref": {"name": secret.metadata.name, "key": key}}

        return {
            "GF_SECURITY_ADMIN_PASSWORD": from_secret("password"),
            "GF_SECURITY_SECRET_KEY": from_secret("key"),
            "GF_SECURITY_COOKIE_SECURE": str(self.config.root_url.startswith("https:")).lower(),
            "GF_SERVER_ROOT_URL": self.config.root_url,
            "GF_SERVER_HTTP_PORT": str(PORT),
            "GF_PATHS_DATA": DATA,
            "GF_PATHS_PLUGINS": f"{DATA}/plugins",
            "GF_PATHS_PROVISIONING": PROVISIONING,
            "GF_LOG_MODE": "console",
            "GF_LOG_LEVEL": "warn",
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{PAGES}/platform.json",
            # Nothing is fetched and nothing is told to anybody: Grafana would ask its maker for both at every start.
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            "GF_PLUGINS_PLUGIN_ADMIN_ENABLED": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_NEWS_NEWS_FEED_ENABLED": "false",
            "GF_SECURITY_DISABLE_GRAVATAR": "true",
            # Alerts are Prometheus' and Alertmanager's; a second place for them would be one too many.
            "GF_UNIFIED_ALERTING_ENABLED": "false",
            **self._login(),
        }

    def _login(self) -> dict[str, Any]:
        oidc = self.config.oidc
        if oidc is None:
            return {}
        return {
            f"GF_AUTH_GENERIC_OAUTH_{name}": value
            for name, value in {
                "ENABLED": "true",
                "NAME": oidc.name,
                "CLIENT_ID": oidc.client_id,
                "CLIENT_SECRET": {"secret_key_ref": {"name": oidc.secret, "key": "client-secret", "optional": True}},
                "AUTH_URL": oidc.auth_url,
                "TOKEN_URL": oidc.token_url,
                "API_URL": oidc.userinfo_url,
                "SCOPES": " ".join(oidc.scopes),
                "USE_PKCE": "true",
                "ROLE_ATTRIBUTE_PATH": oidc.role_path,
                "ROLE_ATTRIBUTE_STRICT": "true",
                "ALLOW_ASSIGN_GRAFANA_ADMIN": "false",
            }.items()
        }

    def _datasources(self) -> pulumi.Output[str]:
        router = self.needs.get(AlertRouter)
        urls = {METRICS: self.needs[MetricsStore].url, **({ALERTS: router.url} if router else {})}
        found: pulumi.Output[str] = pulumi.Output.all(**urls).apply(datasources)
        return found


def datasources(urls: Mapping[str, str]) -> str:
    """Return the datasources as Grafana reads them (YAML, here JSON), by their ids."""
    settings: dict[str, dict[str, Any]] = {
        METRICS: {"isDefault": True, "jsonData": {"httpMethod": "POST", "prometheusType": "Prometheus"}},
        ALERTS: {"jsonData": {"implementation": "prometheus", "handleGrafanaManagedAlerts": False}},
    }
    return json.dumps(
        {
            "apiVersion": 1,
            "prune": True,
            "datasources": [
                {
                    "name": uid.capitalize(),
                    "uid": uid,
                    "type": uid,
                    "access": "proxy",
                    "url": url,
                    "editable": False,
                    **settings[uid],
                }
                for uid, url in urls.items()
            ],
        },
        indent=1,
    )


def provider() -> str:
    """Return where Grafana finds its dashboards, as it reads it (YAML, here JSON)."""
    found = {
        "name": "platform",
        "folder": "Platform",
        "type": "file",
        "disableDeletion": True,
        "allowUiUpdates": False,
        "options": {"path": PAGES},
    }
    return json.dumps({"apiVersion": 1, "providers": [found]}, indent=1)
