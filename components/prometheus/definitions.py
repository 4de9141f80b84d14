"""The operator's custom resource definitions, read from its module and made small."""

from __future__ import annotations

import json
from typing import Any

from components._core.artefacts import GoModule

__all__ = ["KINDS", "definitions", "trim"]

KINDS = (
    "servicemonitors",
    "podmonitors",
    "prometheusrules",
    "probes",
    "prometheuses",
    "alertmanagers",
    "alertmanagerconfigs",
)
"""What the operator watches to run a Prometheus and an Alertmanager; it starts without the others and says so."""


def definitions(module: GoModule) -> list[dict[str, Any]]:
    """Return the definitions of KINDS, in that order, without prose."""
    # The module carries them as YAML and as JSON, and JSON is read a hundred times as fast.
    files = [module.file(f"jsonnet/prometheus-operator/{kind}-crd.json") for kind in KINDS]
    return [_trimmed(json.loads(file.read_text())) for file in files]


def trim(schema: Any) -> Any:
    """Return an OpenAPI schema without descriptions.

    They are three quarters of the text, and the API server keeps every schema in memory several times. A property
    that is called `description` stays.
    """
    if isinstance(schema, list):
        return [trim(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: trim(inner) for name, inner in value.items()} if key == "properties" else trim(value)
        for key, value in schema.items()
        if key != "description"
    }


def _trimmed(definition: dict[str, Any]) -> dict[str, Any]:
    versions = [
        {**version, "schema": {"openAPIV3Schema": trim(version["schema"]["openAPIV3Schema"])}}
        for version in definition["spec"]["versions"]
    ]
    return {
        "apiVersion": definition["apiVersion"],
        "kind": definition["kind"],
        "metadata": definition["metadata"],
        "spec": {**definition["spec"], "versions": versions},
    }
