"""Requests straight to a pod: the API server's proxy takes every `Authorization` for its own and hands none on."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["Direct", "target_port"]


class Direct(http.client.HTTPConnection):
    """HTTP over a port that the API server forwards to a pod."""

    def __init__(self, client: Any, namespace: str, pod: str, port: int, timeout: float) -> None:
        super().__init__(f"{pod}.{namespace}", port, timeout=timeout)
        self._client, self._namespace, self._pod = client, namespace, pod

    def connect(self) -> None:
        from kubernetes.client import CoreV1Api
        from kubernetes.stream import portforward

        # While it opens, the client sends everything over a websocket: this one gets a client of its own.
        own = type(self._client)(self._client.configuration)
        ports = str(self.port)
        forwarded = portforward(
            CoreV1Api(own).connect_get_namespaced_pod_portforward, self._pod, self._namespace, ports=ports
        )
        self.sock = forwarded.socket(self.port)
        self.sock.settimeout(self.timeout)


def target_port(service: Mapping[str, Any], pod: Mapping[str, Any], port: int) -> int:
    """Return the container's port behind a port of a Service."""
    listed = service["spec"]["ports"]
    wanted = next((entry.get("targetPort", port) for entry in listed if entry["port"] == port), port)
    if isinstance(wanted, int):
        return wanted
    return next((entry["containerPort"] for entry in _ports(pod) if entry.get("name") == wanted), port)


def _ports(pod: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for container in pod["spec"]["containers"]:
        yield from container.get("ports", [])
