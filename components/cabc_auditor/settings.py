"""What the auditor reads: pure functions from a config and from where things are to the text of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.cabc_auditor.config import CabcAuditorConfig

__all__ = [
    "CONNECTIONS",
    "DATA",
    "DOCUMENTS",
    "HOME",
    "HOOKS",
    "PORT",
    "QUERIES",
    "SPECIFICATIONS",
    "TOKENS",
    "connections",
    "pages",
    "settings",
]

PORT = 8080

HOME = "/etc/cabc"
"""The auditor's home: settings, connections, keys, secrets."""

SPECIFICATIONS = "/etc/cabc-specifications"
DOCUMENTS = "/etc/cabc-documents"
DATA = "/var/lib/cabc"

TOKENS = ("reader", "auditee", "auditing-party", "publisher")
"""One token for each role of the method; nobody has two."""

HOOKS = {"platform": "generic", "registry": "mlflow", "alerts": "alertmanager"}
"""Who may say that something changed, and how they prove it."""

CONNECTIONS = 5
"""To the auditor's own database, of a process."""

QUERIES = 4
"""Connections to the prediction log's database: what specifications ask of it at once."""

RESOURCES = ("inferenceservices", "servingruntimes", "deployments", "networkpolicies")
"""What specifications may read of the cluster, in the namespaces of models alone."""


def settings(
    config: CabcAuditorConfig,
    tokens: Mapping[str, str],
    *,
    watch: Sequence[str],
    pages: Mapping[str, Any] | None = None,
) -> str:
    """Return cabc.yaml (here JSON).

    `tokens` are the SHA-256 of the tokens by role, `watch` the namespaces of models, `pages` those of the plugin.
    """
    found: dict[str, Any] = {
        "database": f"file:{HOME}/secrets/database",
        "databaseConnections": CONNECTIONS,
        "documents": [
            *(f"{SPECIFICATIONS}/{name}.yaml" for name in sorted(config.specifications)),
            *(f"{SPECIFICATIONS}/{name}.yaml" for name in sorted(config.specifications_from)),
        ],
        "anchors": [f"{DATA}/anchors"],
        "published": f"{DATA}/published",
        "retention": {name: f"P{days}D" for name, days in config.retention.model_dump(exclude_none=True).items()},
        "service": {
            "host": "0.0.0.0",  # noqa: S104 (a pod of its own)
            "port": PORT,
            "tokens": [{"name": role, "sha256": tokens[role], "roles": [role]} for role in TOKENS],
            "webhooks": {
                name: {"format": kind, "secret": f"file:{HOME}/secrets/hook-{name}"} for name, kind in HOOKS.items()
            },
            "watchInferenceServices": list(watch),
            **({"pages": pages} if pages else {}),
            **({"publicUrl": config.public_url} if config.public_url else {}),
            **({"oidc": config.oidc.model_dump(by_alias=True)} if config.oidc else {}),
        },
    }
    return json.dumps(found, indent=2, sort_keys=True)


def pages(places: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pages of the platform's plugin, and which connections each asks: those that `places` gives rise to.

    Without a prediction log there is no prediction to follow, and no page.
    """
    if "collector" not in places:
        return {}
    told = {"predictionLog": "collector", "infrastructure": "infrastructure"}
    return {"predictions": {**told, **({"registry": "mlflow"} if "mlflow" in places else {})}}


def connections(places: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Return connections.yaml (here JSON): the platform's, as far as `places` has them, and those of the order form."""
    found: dict[str, Any] = {
        # The files of a mounted ConfigMap are links into this folder, and no link is followed.
        "docs": {"kind": "file", "root": f"{DOCUMENTS}/..data"},
        "infrastructure": {"kind": "infrastructure", "inCluster": True},
    }
    if url := places.get("mlflow"):
        found["mlflow"] = {"kind": "mlflow", "url": url, "network": "internal"}
    if url := places.get("prometheus"):
        found["prometheus"] = {"kind": "prometheus", "url": url, "network": "internal"}
    if namespaces := places.get("models"):
        found["kubernetes"] = {
            "kind": "kubernetes",
            "inCluster": True,
            "namespaces": list(namespaces),
            "resources": list(RESOURCES),
        }
    if url := places.get("predictions"):
        password = f"file:{HOME}/secrets/predictions"
        found["predictions"] = {"kind": "sql", "url": url, "password": password, "maxConcurrent": QUERIES}
    if url := places.get("collector"):
        found["collector"] = {"kind": "rest", "url": url, "network": "internal", "paths": ["/v1/"]}
    return json.dumps({"connections": {**found, **own}}, indent=2, sort_keys=True)
