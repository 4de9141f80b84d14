"""What every container of ours must be, read from the running cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.cluster

NOT_OURS = {"kube-system", "kube-public", "kube-node-lease", "default", "local-path-storage"}
"""Namespaces of the cluster itself."""


def containers(pods: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for pod in pods:
        metadata, spec = pod["metadata"], pod["spec"]
        if metadata["namespace"] in NOT_OURS:
            continue
        for container in (*spec.get("initContainers", []), *spec["containers"]):
            yield f"{metadata['namespace']}/{metadata['name']}/{container['name']}", spec, container


def problems(spec: dict[str, Any], container: dict[str, Any]) -> list[str]:
    context = container.get("securityContext", {})
    resources = container.get("resources", {})
    non_root = context.get("runAsNonRoot", spec.get("securityContext", {}).get("runAsNonRoot"))
    wanted = {
        "requests.cpu": "cpu" in resources.get("requests", {}),
        "requests.memory": "memory" in resources.get("requests", {}),
        "limits.cpu": "cpu" in resources.get("limits", {}),
        "limits.memory": "memory" in resources.get("limits", {}),
        "runAsNonRoot": non_root is True,
        "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
        "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
        "capabilities.drop ALL": "ALL" in context.get("capabilities", {}).get("drop", []),
    }
    return [name for name, holds in wanted.items() if not holds]


def test_every_container_is_hardened(platform: Any) -> None:
    pods = platform.kubectl_json("get", "pods", "-A")["items"]
    found = {name: lacks for name, spec, container in containers(pods) if (lacks := problems(spec, container))}
    assert not found
    assert len(list(containers(pods))) >= 8


def test_every_namespace_of_ours_enforces_restricted(platform: Any) -> None:
    spaces = platform.kubectl_json("get", "namespaces")["items"]
    ours = [space["metadata"] for space in spaces if space["metadata"]["name"] not in NOT_OURS]
    assert len(ours) >= 6
    assert not [s["name"] for s in ours if s["labels"].get("pod-security.kubernetes.io/enforce") != "restricted"]


def test_every_namespace_of_ours_has_a_network_policy(platform: Any) -> None:
    policies = platform.kubectl_json("get", "networkpolicies", "-A")["items"]
    spaces = platform.kubectl_json("get", "namespaces")["items"]
    ours = {space["metadata"]["name"] for space in spaces} - NOT_OURS
    assert ours <= {policy["metadata"]["namespace"] for policy in policies}


def test_no_secret_stands_in_a_config_map(platform: Any) -> None:
    secrets = platform.kubectl_json("get", "secrets", "-A")["items"]
    maps = str(platform.kubectl_json("get", "configmaps", "-A")["items"])
    import base64

    values = {
        base64.b64decode(value).decode(errors="replace")
        for secret in secrets
        if secret["metadata"]["namespace"] not in NOT_OURS
        for value in (secret.get("data") or {}).values()
    }
    long = {value for value in values if 16 <= len(value) <= 64 and "\n" not in value and "/" not in value}
    assert not {value for value in long if value in maps}
