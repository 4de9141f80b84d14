"""Service, Ingress, volumes, quotas, CRDs and namespaces: some need a look at other objects too."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider.client import Client
from mlops.plugins.kubernetes_provider.errors import ApiError, NoSuchKindError
from mlops.plugins.kubernetes_provider.objects import Kind, condition, dig, name_of, namespace_of
from mlops.plugins.kubernetes_provider.readiness.verdict import Verdict, failed, pending, ready

__all__ = ["claim", "crd", "ingress", "namespace", "quota", "service", "volume"]

_SLICES = Kind("discovery.k8s.io", "v1", "EndpointSlice")
_SERVICES = Kind("", "v1", "Service")
_CLASSES = Kind("storage.k8s.io", "v1", "StorageClass")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_DONE = "✅ "


def _targets(client: Client, namespace: str, name: str) -> int:
    """Count the ready endpoints of a service."""
    slices = client.items(_SLICES, namespace, labelSelector=f"kubernetes.io/service-name={name}")
    return sum(
        dig(endpoint, "conditions", "ready", default=True) is not False
        for found in slices
        for endpoint in found.get("endpoints") or []
    )


def service(live: dict[str, Any], client: Client) -> Verdict:
    """Ready when it targets a Pod that is ready, and a load balancer has an address."""
    kind = dig(live, "spec", "type", default="ClusterIP")
    if kind == "ExternalName" or (dig(live, "spec", "clusterIP") == "None" and kind == "ClusterIP"):
        return ready()
    if dig(live, "spec", "selector") and not _targets(client, namespace_of(live), name_of(live)):
        return pending(
            "[1/3] Finding Pods to direct traffic to",
            "Service does not target any Pods. Selected Pods may not be ready, or field '.spec.selector' may not "
            "match labels on any Pods",
        )
    if kind == "LoadBalancer" and not dig(live, "status", "loadBalancer", "ingress"):
        return pending(
            "[2/3] Attempting to allocate IP address to Service",
            "Service was not allocated an IP address; does your cloud provider support this?",
        )
    return ready(f"{_DONE}Service initialization complete")


def ingress(live: dict[str, Any], client: Client) -> Verdict:
    """Ready when each path's service targets a Pod and the ingress has an address."""
    missing = [text for text in _backends(live, client) if text]
    if missing:
        return pending(
            "[1/3] Finding a matching service for each Ingress path",
            *(f"No matching service found for ingress rule: {text}" for text in missing),
        )
    if not dig(live, "status", "loadBalancer", "ingress"):
        return pending(
            "[2/3] Waiting for update of .status.loadBalancer with hostname/IP",
            "Ingress .status.loadBalancer field was not updated with a hostname/IP address",
        )
    return ready(f"{_DONE}Ingress initialization complete")


def _backends(live: dict[str, Any], client: Client) -> list[str]:
    """Return the rules whose service has no endpoint, as `"host/path" -> "service"`."""
    space, found = namespace_of(live), {}
    rules = []
    for rule in dig(live, "spec", "rules", default=[]):
        for path in dig(rule, "http", "paths", default=[]):
            name = dig(path, "backend", "service", "name")
            if not name:
                continue
            if name not in found:
                found[name] = _serves(client, space, name)
            if not found[name]:
                where = f"{rule.get('host', '')}{path.get('path', '')}"
                rules.append(f'"{where}"{"" if where else " (default path)"} -> "{name}"')
    return rules


def _serves(client: Client, space: str, name: str) -> bool:
    found = client.find(client.resource(_SERVICES), space, name)
    if found is None:
        return False
    return dig(found, "spec", "type") == "ExternalName" or _targets(client, space, name) > 0


def claim(live: dict[str, Any], client: Client) -> Verdict:
    """Ready when bound, or when the class binds it only for its first Pod."""
    phase = dig(live, "status", "phase", default="Pending")
    if phase == "Bound":
        return ready()
    if phase == "Lost":
        return failed(f'PersistentVolumeClaim "{name_of(live)}" lost its volume')
    if _waits_for_consumer(live, client):
        return ready(f'PersistentVolumeClaim "{name_of(live)}" is waiting for its first consumer')
    return pending(
        f'Waiting for PersistentVolumeClaim "{name_of(live)}" to be bound ({phase})',
        f'PersistentVolumeClaim "{name_of(live)}" is not bound ({phase})',
    )


def _waits_for_consumer(live: dict[str, Any], client: Client) -> bool:
    wanted = dig(live, "spec", "storageClassName")
    for found in client.items(_CLASSES, ""):
        default = dig(found, "metadata", "annotations", _DEFAULT_CLASS) == "true"
        if name_of(found) == wanted or (wanted is None and default):
            return bool(found.get("volumeBindingMode") == "WaitForFirstConsumer")
    return False


def volume(live: dict[str, Any]) -> Verdict:
    """Ready when available or bound."""
    phase = dig(live, "status", "phase", default="Pending")
    if phase in ("Available", "Bound"):
        return ready()
    return pending(f'Waiting for PersistentVolume "{name_of(live)}" ({phase})')


def quota(live: dict[str, Any]) -> Verdict:
    """Ready when the controller has taken the limits over."""
    if dig(live, "spec", "hard", default={}) == dig(live, "status", "hard", default={}):
        return ready()
    return pending(f'Waiting for ResourceQuota "{name_of(live)}" to take effect')


def namespace(live: dict[str, Any]) -> Verdict:
    """Ready when active."""
    if dig(live, "status", "phase", default="Active") == "Active":
        return ready()
    return pending(f'Namespace "{name_of(live)}" is {dig(live, "status", "phase")}')


def crd(live: dict[str, Any], client: Client) -> Verdict:
    """Ready when established and served, so that objects of its kind can be created next."""
    refused = condition(live, "NamesAccepted")
    if refused is not None and refused.get("status") == "False" and refused.get("reason") != "NotAccepted":
        return failed(f'CustomResourceDefinition "{name_of(live)}": {refused.get("message")}')
    established = condition(live, "Established")
    waiting = pending(f'Waiting for CustomResourceDefinition "{name_of(live)}" to be established')
    if established is None or established.get("status") != "True":
        return waiting
    for version in dig(live, "spec", "versions", default=[]):
        if not version.get("served"):
            continue
        kind = Kind(dig(live, "spec", "group"), version["name"], dig(live, "spec", "names", "kind"))
        try:
            found = client.resource(kind, fresh=True)
            client.request("GET", found.path(), query={"limit": 1}, tries=1)
        except (ApiError, NoSuchKindError):
            return waiting  # the API server answers 429 until it has set up what stores the kind
    return ready()
