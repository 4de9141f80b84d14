"""Why something does not answer, told by the objects behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops.loop.cluster import Cluster

__all__ = ["pod_trouble", "service_trouble"]

_QUIET = {None, "Completed", "PodInitializing", "ContainerCreating"}


def service_trouble(cluster: Cluster, namespace: str, service: str) -> str:
    """Return what is wrong with the workload behind a Service; empty when nothing is."""
    found = cluster.get(f"/api/v1/namespaces/{namespace}/services/{service}")
    if found is None:
        return f"Service {namespace}/{service} does not exist"
    selector = found["spec"].get("selector") or {}
    for kind in ("Deployment", "StatefulSet"):
        for workload in cluster.items(f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s"):
            labels = workload["spec"]["template"]["metadata"].get("labels") or {}
            if selector and selector.items() <= labels.items():
                return _workload_trouble(cluster, kind, workload)
    return f"Service {namespace}/{service} has no Deployment or StatefulSet behind it"


def _workload_trouble(cluster: Cluster, kind: str, workload: Mapping[str, Any]) -> str:
    metadata, wanted = workload["metadata"], workload["spec"].get("replicas", 1)
    ready = workload.get("status", {}).get("readyReplicas", 0)
    name = f"{kind} {metadata['namespace']}/{metadata['name']}"
    if wanted == 0:
        return f"{name} is scaled to 0 replicas"
    if ready >= wanted:
        return ""
    selector = ",".join(f"{key}={value}" for key, value in workload["spec"]["selector"]["matchLabels"].items())
    pods = cluster.items(f"/api/v1/namespaces/{metadata['namespace']}/pods", labelSelector=selector)
    trouble = next((text for pod in pods if (text := pod_trouble(pod))), "")
    return f"{name} has {ready} of {wanted} replicas{f': {trouble}' if trouble else ''}"


def pod_trouble(pod: Mapping[str, Any]) -> str:
    """Return what keeps a pod from being ready, `pod <name>: <container>: <reason> (<message>)`; empty if nothing."""
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        for state in (container.get("state", {}), container.get("lastState", {})):
            found = state.get("waiting") or state.get("terminated") or {}
            if found.get("reason") not in _QUIET:
                message = " ".join(str(found.get("message", "")).split())[-300:]
                return f"pod {name}: {container['name']}: {found['reason']}{f' ({message})' if message else ''}"
    for condition in status.get("conditions", []):
        if condition.get("status") != "True" and condition.get("message"):
            return f"pod {name}: {condition['message']}"
    return ""
