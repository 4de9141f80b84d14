"""Which monitor has Prometheus read a pod: the operator's objects, evaluated as the operator evaluates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlops.loop.cluster import Cluster
from mlops.loop.ledger import StageError

__all__ = ["STAGE", "Endpoint", "Monitors", "matches"]

STAGE = "monitoring"

FIX = "`pulumi up` repairs what was changed by hand"

_API = "/apis/monitoring.coreos.com/v1"

_KINDS = {"PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"}
"""Where each kind of monitor lists what is read."""


@dataclass(frozen=True)
class Endpoint:
    """One page of a pod that a monitor has Prometheus read."""

    monitor: str
    """`<kind> <namespace>/<name>`."""

    pool: str
    """What Prometheus calls the list of targets made from it."""

    port: int
    path: str
    relabeled: bool
    """The address may be another one than the pod's."""

    def reads(self, target: Mapping[str, Any]) -> bool:
        """Tell whether a target of Prometheus was made from the monitor as it is now."""
        url = urlsplit(target["scrapeUrl"])
        return target["scrapePool"] == self.pool and (self.relabeled or (url.port, url.path) == (self.port, self.path))


class Monitors:
    """All monitors that the Prometheus of one namespace reads."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def endpoints(self, pod: Mapping[str, Any]) -> list[Endpoint]:
        """Return what is read of a pod. Raises StageError naming the object because of which it is nothing."""
        namespace = pod["metadata"]["namespace"]
        found: list[Endpoint] = []
        misses: list[tuple[dict[str, Any], str]] = []
        for monitor in self.of(namespace):
            try:
                found.extend(self._endpoints(monitor, pod))
            except _MissError as miss:
                misses.append((monitor, str(miss)))
        if found:
            return found
        # What stands beside the pod was meant for it, so that one is named.
        misses.sort(key=lambda miss: miss[0]["metadata"]["namespace"] != namespace)
        name = f"pod {namespace}/{pod['metadata']['name']}"
        for monitor, reason in misses:
            raise StageError(STAGE, _name(monitor), f"has Prometheus read nothing of {name}: {reason}", fix=FIX)
        raise self._nothing(namespace)

    def of(self, namespace: str) -> list[dict[str, Any]]:
        """Return the monitors that Prometheus reads and that look into a namespace. Raises StageError without any."""
        prometheus = self._prometheus()
        namespaces = {each["metadata"]["name"]: each for each in self._cluster.items("/api/v1/namespaces")}
        found: list[dict[str, Any]] = []
        unread: list[dict[str, Any]] = []
        for kind in _KINDS:
            for monitor in self._cluster.items(f"{_API}/{kind.lower()}s"):
                monitor["kind"] = kind
                if namespace in _looked_into(monitor, namespaces):
                    read = _is_read(prometheus, monitor, namespaces)
                    (found if read else unread).append(monitor)
        if found:
            return found
        if unread:
            reason = f"is not read by {_name(prometheus)}: it has not the labels that are asked for there"
            raise StageError(STAGE, _name(unread[0]), reason, fix=FIX)
        raise self._nothing(namespace)

    def _nothing(self, namespace: str) -> StageError:
        reason = "has no PodMonitor or ServiceMonitor: nothing has Prometheus read it"
        return StageError(STAGE, f"namespace {namespace}", reason, fix=FIX)

    def _prometheus(self) -> dict[str, Any]:
        found = self._cluster.items(f"{_API}/namespaces/{self._namespace}/prometheuses")
        if not found:
            reason = "has no Prometheus object: no monitor reaches anybody"
            raise StageError(STAGE, f"namespace {self._namespace}", reason, fix=FIX)
        for prometheus in found:
            prometheus["kind"] = "Prometheus"
            if prometheus["spec"].get("replicas", 1) > 0:
                return prometheus
        raise StageError(STAGE, _name(found[0]), "is scaled to 0 replicas", fix=FIX)

    def _endpoints(self, monitor: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[Endpoint]:
        kind, spec, metadata = monitor["kind"], monitor["spec"], monitor["metadata"]
        if kind == "PodMonitor":
            if not matches(spec.get("selector", {}), pod["metadata"].get("labels", {})):
                msg = f"it selects {_words(spec.get('selector', {}))}, which the pod is not"
                raise _MissError(msg)
            services = [None]
        else:
            services = self._services(spec.get("selector", {}), pod)
        listed = list(enumerate(spec.get(_KINDS[kind], [])))
        made = False
        for number, endpoint in listed:
            for service in services:
                if port := _port(endpoint, pod, service):
                    made = True
                    yield Endpoint(
                        monitor=_name(monitor),
                        pool=f"{kind[0].lower()}{kind[1:]}/{metadata['namespace']}/{metadata['name']}/{number}",
                        port=port,
                        path=endpoint.get("path") or "/metrics",
                        relabeled=bool(endpoint.get("relabelings")),
                    )
        if not made:
            asked = ", ".join(str(each.get("port") or each.get("targetPort") or each) for _, each in listed)
            msg = f"it asks for port {asked or '(none)'}, which the pod has not"
            raise _MissError(msg)

    def _services(self, selector: Mapping[str, Any], pod: Mapping[str, Any]) -> list[Any]:
        labels = pod["metadata"].get("labels", {})
        found = [
            service
            for service in self._cluster.items(f"/api/v1/namespaces/{pod['metadata']['namespace']}/services")
            if matches(selector, service["metadata"].get("labels", {}))
            and (chosen := service["spec"].get("selector"))
            and chosen.items() <= labels.items()
        ]
        if not found:
            msg = f"no Service that is {_words(selector)} leads to the pod"
            raise _MissError(msg)
        return found


class _MissError(Exception):
    """Why a monitor makes nothing of a pod."""


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector of Kubernetes selects labels; an empty one selects all."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for wanted in selector.get("matchExpressions", []):
        key, values = wanted["key"], wanted.get("values", [])
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[wanted["operator"]]:
            return False
    return True


def _words(selector: Mapping[str, Any]) -> str:
    said = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    for wanted in selector.get("matchExpressions", []):
        values = ",".join(wanted.get("values", []))
        said.append(f"{wanted['key']} {wanted['operator']}{f' ({values})' if values else ''}")
    return ", ".join(said) or "anything"


def _name(thing: Mapping[str, Any]) -> str:
    return f"{thing['kind']} {thing['metadata']['namespace']}/{thing['metadata']['name']}"


def _looked_into(monitor: Mapping[str, Any], namespaces: Mapping[str, Any]) -> set[str]:
    chosen = monitor["spec"].get("namespaceSelector", {})
    if chosen.get("any"):
        return set(namespaces)
    return set(chosen.get("matchNames") or [monitor["metadata"]["namespace"]])


def _is_read(prometheus: Mapping[str, Any], monitor: Mapping[str, Any], namespaces: Mapping[str, Any]) -> bool:
    """Tell whether the Prometheus asks for such a monitor: no selector is none, no namespace selector its own one."""
    prefix = f"{monitor['kind'][0].lower()}{monitor['kind'][1:]}"
    selector = prometheus["spec"].get(f"{prefix}Selector")
    where = prometheus["spec"].get(f"{prefix}NamespaceSelector")
    namespace = monitor["metadata"]["namespace"]
    if where is None:
        near = namespace == prometheus["metadata"]["namespace"]
    else:
        near = matches(where, namespaces.get(namespace, {"metadata": {}})["metadata"].get("labels", {}))
    return selector is not None and near and matches(selector, monitor["metadata"].get("labels", {}))


def _port(endpoint: Mapping[str, Any], pod: Mapping[str, Any], service: Mapping[str, Any] | None) -> int | None:
    """Return the number of the port that is read, None when pod or Service has no such port."""
    wanted = endpoint.get("portNumber") or endpoint.get("port") or endpoint.get("targetPort")
    if service is not None and (name := endpoint.get("port")):
        chosen = next((port for port in service["spec"].get("ports", []) if port.get("name") == name), None)
        wanted = chosen and (chosen.get("targetPort") or chosen["port"])
    if wanted is None or isinstance(wanted, int):
        return wanted
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"].get("containers", [])]
    ports = (port for container in containers for port in container.get("ports", []))
    return next((int(port["containerPort"]) for port in ports if port.get("name") == wanted), None)
