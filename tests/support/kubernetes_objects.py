"""Small Kubernetes objects for tests."""

from __future__ import annotations

from typing import Any

__all__ = [
    "config_map",
    "crd",
    "daemon_set",
    "deployment",
    "job",
    "pod",
    "secret",
    "service",
    "stateful_set",
    "widget",
]

Object = dict[str, Any]


def _meta(namespace: str, name: str | None, annotations: dict[str, str] | None = None) -> Object:
    meta: Object = {"namespace": namespace}
    if name:
        meta["name"] = name
    if annotations:
        meta["annotations"] = annotations
    return meta


def _template(app: str, fate: str, image: str = "app:1", **spec: Any) -> Object:
    container = {"name": "c", "image": image}
    return {
        "metadata": {"labels": {"app": app, "test/fate": fate}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def config_map(namespace: str, name: str | None = None, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(namespace, name), "data": data or {"a": "1"}}


def secret(namespace: str, name: str | None = None, **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _meta(namespace, name), **more}


def deployment(
    namespace: str,
    name: str = "app",
    *,
    fate: str = "ready",
    image: str = "app:1",
    replicas: int = 1,
    annotations: dict[str, str] | None = None,
) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(namespace, name, annotations),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": _template(name, fate, image),
        },
    }


def stateful_set(namespace: str, name: str = "db", *, fate: str = "ready", image: str = "db:1") -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": _meta(namespace, name),
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": {"app": name}},
            "template": _template(name, fate, image),
        },
    }


def daemon_set(namespace: str, name: str = "agent", *, fate: str = "ready") -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _meta(namespace, name),
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": _template(name, fate, tolerations=[{"operator": "Exists"}]),
        },
    }


def job(
    namespace: str, name: str = "once", *, fate: str = "succeed", annotations: dict[str, str] | None = None
) -> Object:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _meta(namespace, name, annotations),
        "spec": {"backoffLimit": 0, "template": _template(name, fate, restartPolicy="Never")},
    }


def pod(namespace: str, name: str = "alone", *, fate: str = "ready") -> Object:
    return {"apiVersion": "v1", "kind": "Pod", **_merged(_template(name, fate), _meta(namespace, name))}


def _merged(template: Object, meta: Object) -> Object:
    return {"metadata": {**template["metadata"], **meta}, "spec": template["spec"]}


def service(namespace: str, name: str = "app", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(namespace, name),
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}], **spec},
    }


def crd(
    plural: str = "widgets", kind: str = "Widget", group: str = "test.example.org", scope: str = "Namespaced"
) -> Object:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [version],
        },
    }


def widget(
    namespace: str | None,
    name: str = "w",
    *,
    kind: str = "Widget",
    group: str = "test.example.org",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Object:
    meta: Object = {"name": name}
    if namespace:
        meta["namespace"] = namespace
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": meta, "spec": spec}
