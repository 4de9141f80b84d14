"""Manifests of the pinned KServe module, made ours: namespace set, our authority in the webhooks, no cert-manager."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from components._core.artefacts import GoModule

__all__ = ["WEBHOOK_SERVICE", "definitions", "place", "roles", "trust", "webhooks"]

Manifest = dict[str, Any]

WEBHOOK_SERVICE = "kserve-webhook-server-service"

_DEFINITIONS = (
    "serving.kserve.io_inferenceservices.yaml",
    "serving.kserve.io_trainedmodels.yaml",
    "serving.kserve.io_clusterservingruntimes.yaml",
    "serving.kserve.io_servingruntimes.yaml",
    "serving.kserve.io_inferencegraphs.yaml",
    "clusterstoragecontainer/serving.kserve.io_clusterstoragecontainers.yaml",
)

_ROLES = (
    "service_account.yaml",
    "role.yaml",
    "role_binding.yaml",
    "leader_election_role.yaml",
    "leader_election_role_binding.yaml",
)


def definitions(module: GoModule) -> list[Manifest]:
    """Return the custom resource definitions without their field schemas.

    The webhooks check the fields; the full schemas are 2.3 MB that the API server keeps in memory several times.
    """
    return [place(manifest, "") for name in _DEFINITIONS for manifest in _load(module, f"config/crd/minimal/{name}")]


def roles(module: GoModule, namespace: str) -> list[Manifest]:
    """Return the controller's ServiceAccount, roles and bindings."""
    return [place(manifest, namespace) for name in _ROLES for manifest in _load(module, f"config/rbac/{name}")]


def webhooks(module: GoModule) -> list[Manifest]:
    """Return the admission webhook configurations; `trust` completes them."""
    return [place(manifest, "") for manifest in _load(module, "config/webhook/manifests.yaml")]


def place(manifest: Manifest, namespace: str) -> Manifest:
    """Return a manifest put into a namespace: its own when it has one by kind, and that of ServiceAccounts it names."""
    placed = copy.deepcopy(manifest)
    metadata = {key: value for key, value in placed["metadata"].items() if value is not None}
    placed["metadata"] = metadata
    if placed["kind"] in {"ServiceAccount", "Role", "RoleBinding", "Secret", "Service"}:
        metadata["namespace"] = namespace
    for subject in placed.get("subjects", []):
        if subject["kind"] == "ServiceAccount":
            subject["namespace"] = namespace
    return placed


def trust(manifest: Manifest, namespace: str, authority: Any) -> Manifest:
    """Return a webhook configuration that reaches the service in `namespace` and trusts `authority` (base64 PEM)."""
    trusted = copy.deepcopy(manifest)
    for webhook in trusted["webhooks"]:
        client = webhook["clientConfig"]
        client["service"] = {**client["service"], "name": WEBHOOK_SERVICE, "namespace": namespace, "port": 443}
        client["caBundle"] = authority
    return trusted


def _load(module: GoModule, name: str) -> list[Manifest]:
    text = module.file(name).read_text()
    # The C parser, where the wheel brings it, takes a tenth of the time.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, loader) if document]
