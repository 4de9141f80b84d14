"""What a pod of ours looks like: requests and limits, non-root, read-only root, no capabilities, no API token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi_kubernetes as kubernetes

from components._core.component import Component, labels
from components._core.config import Resources

__all__ = [
    "USER",
    "container",
    "deployment_spec",
    "http_probe",
    "pod_spec",
    "pod_template",
    "stateful_server",
    "tcp_probe",
    "volume_claim",
]

USER = 65532
"""User and group every container of ours runs as; the images have an entry for it."""


def container(
    name: str,
    image: str,
    resources: Resources,
    *,
    command: Sequence[Any] | None = None,
    args: Sequence[Any] | None = None,
    env: Mapping[str, Any] | None = None,
    ports: Mapping[str, int] | None = None,
    mounts: Mapping[str, str] | None = None,
    readiness: Any = None,
    liveness: Any = None,
    startup: Any = None,
    **others: Any,
) -> Any:
    """Return a container.

    `env` maps a name to a text or to a `value_from` mapping; `ports` a name to a number; `mounts` a path to the
    name of a volume, or `volume/sub/path` for a part of it.
    """
    found: dict[str, Any] = {
        "name": name,
        "image": image,
        "image_pull_policy": "IfNotPresent",
        "command": list(command) if command else None,
        "args": list(args) if args else None,
        "env": [_variable(key, value) for key, value in (env or {}).items()] or None,
        "ports": [{"name": key, "container_port": port} for key, port in (ports or {}).items()] or None,
        "volume_mounts": [_mount(path, volume) for path, volume in (mounts or {}).items()] or None,
        "readiness_probe": readiness,
        "liveness_probe": liveness,
        "startup_probe": startup,
        "resources": {
            "requests": {"cpu": resources.cpu, "memory": resources.memory},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
        },
        "security_context": {
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": True,
            "run_as_non_root": True,
            "capabilities": {"drop": ["ALL"]},
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        **others,
    }
    return {key: value for key, value in found.items() if value is not None}


def pod_spec(
    containers: Sequence[Any],
    *,
    volumes: Mapping[str, Any] | None = None,
    init_containers: Sequence[Any] = (),
    service_account: str | None = None,
    **others: Any,
) -> Any:
    """Return a pod spec. `volumes` maps a name to its source; a pod gets an API token only with a ServiceAccount."""
    return {
        "containers": list(containers),
        **({"init_containers": list(init_containers)} if init_containers else {}),
        "volumes": [{"name": name, **source} for name, source in (volumes or {}).items()],
        **({"service_account_name": service_account} if service_account else {}),
        "automount_service_account_token": service_account is not None,
        "enable_service_links": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER,
            "run_as_group": USER,
            "fs_group": USER,
            "fs_group_change_policy": "OnRootMismatch",
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        **others,
    }


def pod_template(app: str, spec: Any, *, annotations: Mapping[str, Any] | None = None) -> Any:
    """Return a pod template with the labels that `deployment_spec` and services select by."""
    return {
        "metadata": {"labels": labels(app), **({"annotations": dict(annotations)} if annotations else {})},
        "spec": spec,
    }


def deployment_spec(app: str, spec: Any, *, annotations: Mapping[str, Any] | None = None, **others: Any) -> Any:
    """Return the spec of a Deployment of one replica."""
    return {
        "replicas": 1,
        "selector": {"match_labels": {"app.kubernetes.io/name": app}},
        "template": pod_template(app, spec, annotations=annotations),
        **others,
    }


def http_probe(path: str, port: int | str, **timing: int) -> Any:
    """Return a probe that asks for a page. `timing` as in Kubernetes, in seconds: period_seconds, failure_threshold."""
    return {"http_get": {"path": path, "port": port}, **timing}


def tcp_probe(port: int | str, **timing: int) -> Any:
    """Return a probe that opens a connection: it costs no process in the container, as an exec probe does."""
    return {"tcp_socket": {"port": port}, **timing}


def volume_claim(size: str, storage_class: str | None) -> Any:
    """Return the spec of a volume for one pod; without a class it is the cluster's default."""
    return {
        "access_modes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        **({"storage_class_name": storage_class} if storage_class else {}),
    }


def stateful_server(
    component: Component[Any], namespace: str, pod: Any, *, ports: Mapping[str, int], size: str, protect: bool
) -> kubernetes.apps.v1.StatefulSet:
    """Register a component's one server, its Service and the volume that the pod mounts as the claim `data`.

    `ports` are those of the Service by the names that the container gives its own.
    """
    metadata: Any = {"name": component.name, "namespace": namespace, "labels": labels(component.name)}
    claim = kubernetes.core.v1.PersistentVolumeClaim(
        f"{component.name}-data",
        metadata={**metadata, "name": "data"},
        spec=volume_claim(size, component.cluster.storage_class),
        opts=component.options(protect=protect),
    )
    service = kubernetes.core.v1.Service(
        component.name,
        # The workload is what is waited for; its Service has nothing to settle before it.
        metadata={**metadata, "annotations": {"pulumi.com/skipAwait": "true"}},
        spec={
            "selector": {"app.kubernetes.io/name": component.name},
            "ports": [{"name": name, "port": port, "target_port": name} for name, port in ports.items()],
        },
        opts=component.options(),
    )
    return kubernetes.apps.v1.StatefulSet(
        component.name,
        metadata=metadata,
        spec={
            "replicas": 1,
            "service_name": component.name,
            "selector": {"match_labels": {"app.kubernetes.io/name": component.name}},
            "template": pod_template(component.name, pod),
        },
        opts=component.options(depends_on=[claim, service]),
    )


def _variable(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {"name": name, "value_from": value}
    return {"name": name, "value": value}


def _mount(path: str, volume: str) -> Any:
    name, _, part = volume.partition("/")
    return {"mount_path": path, "name": name, **({"sub_path": part} if part else {})}
