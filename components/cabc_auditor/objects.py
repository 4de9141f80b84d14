"""The auditor in Kubernetes: pure functions from values to manifests. The component and the chart are made of these.

A value is whatever stands in its place: a text, an output of the program, a placeholder of a template.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic.alias_generators import to_camel

from components._core.component import labels
from components._core.config import Resources
from components._core.workload import container, deployment_spec, http_probe, pod_spec, pod_template, volume_claim
from components.cabc_auditor.settings import DATA, DOCUMENTS, HOME, HOOKS, PORT, SPECIFICATIONS

__all__ = [
    "NAME",
    "PARTS",
    "REGISTRY_HOOK",
    "Part",
    "Values",
    "access",
    "auditor",
    "job_name",
    "monitor",
    "registry_hook",
]

NAME = "cabc-auditor"

INSTANCE = {"app.kubernetes.io/instance": NAME}
"""Label of all pods that mount the volume; they are put beside each other."""

REGISTRY_HOOK = Path(__file__).with_name("registry_hook.py")
"""Script of the Job that subscribes to the registry. It is read and not imported: the program has no use for it."""

JOB = Resources.model_validate({"cpu": "10m", "memory": "96Mi", "cpuLimit": "1", "memoryLimit": "256Mi"})
"""Requests and limits of what is done once."""

Role = Literal["all", "collect", "assess", "publish"]


@dataclass(frozen=True)
class Part:
    """One process of the auditor: a Deployment, a ServiceAccount and a Secret of this name."""

    name: str
    role: Role
    """What `cabc serve` does in it."""

    user: str | None
    """Database user among those that were claimed; None is the owner."""

    @property
    def signs(self) -> tuple[str, ...]:
        """Names of the keys that it signs with."""
        return ("collect", "assess", "publish") if self.role == "all" else (self.role,)

    @property
    def credentials(self) -> tuple[str, ...]:
        """Keys of its Secret, besides those of its signatures."""
        return ("database", *((*(f"hook-{name}" for name in HOOKS), "predictions") if self.collects else ()))

    @property
    def collects(self) -> bool:
        """Whether it asks backends and takes webhooks: it alone has their credentials and watches the cluster."""
        return self.role in {"all", "collect"}

    @property
    def has_pages(self) -> bool:
        """Whether people come to it: it alone shows what the pages of plugins ask for."""
        return self.role in {"all", "assess"}


PARTS: dict[str, tuple[Part, ...]] = {
    # Pages and API are where people waive and attest, which is written by who judges.
    "three": (
        Part(NAME, "assess", "assess"),
        Part(f"{NAME}-collect", "collect", "collect"),
        Part(f"{NAME}-publish", "publish", "publish"),
    ),
    "one": (Part(NAME, "all", None),),
}


@dataclass(frozen=True)
class Values:
    """What differs from one installation to the next."""

    namespace: Any
    image: Any
    job_name: Callable[[str, Mapping[str, Any]], Any]
    """Name of a Job, from its short name and what it is made of: see `job_name`."""

    resources: Resources
    reads_evidence: Any
    """Whether the process with the pages gets an API token, to read the evidence of the infrastructure with."""

    settings: Any
    connections: Any
    public_keys: Any
    """File name to PEM text."""

    public_key_items: Any
    """Where each of them is in the home."""

    specifications: Any
    """File name to text."""

    specification_sources: Any
    """Sources of the volume with the specifications."""

    documents: Any
    digest: Any
    """Changes with what is read at the start, so that pods are made anew."""

    storage: Any
    storage_class: Any
    verify: Any
    """Schedule as in cron."""


def job_name(name: str, *made_of: Any) -> str:
    """Return the name of a Job, another one for anything else that it is made of: a Job cannot be changed.

    Of random passwords among it, eight digits of a hash give nothing away.
    """
    return f"{NAME}-{name}-{hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:8]}"


def auditor(values: Values, parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
    """Return the auditor's objects in its own namespace by a name for each; Secrets are made by who installs it."""
    found = {
        "settings": _config_map(values, NAME, {"cabc.yaml": values.settings, "connections.yaml": values.connections}),
        "keys": _config_map(values, f"{NAME}-keys", values.public_keys),
        "specifications": _config_map(values, f"{NAME}-specifications", values.specifications),
        "documents": _config_map(values, f"{NAME}-documents", values.documents),
        "data": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": _metadata(values, f"{NAME}-data"),
            "spec": _camel(volume_claim(values.storage, values.storage_class)),
        },
        "migrate": _migrate(values),
        "verify": _verify(values),
    }
    for part in parts:
        found[f"account-{part.role}"] = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": _metadata(values, part.name),
            "automountServiceAccountToken": False,
        }
        found[f"service-{part.role}"] = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(values, part.name),
            "spec": {
                "selector": {"app.kubernetes.io/name": part.name},
                "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
            },
        }
        found[f"deployment-{part.role}"] = _deployment(values, part)
    return found


def access(values: Values, part: Part, namespace: Any) -> dict[str, dict[str, Any]]:
    """Return what lets the part that collects read a namespace of models, and see InferenceServices change there."""
    group = "rbac.authorization.k8s.io"
    metadata = {"name": NAME, "namespace": namespace, "labels": labels(NAME)}
    return {
        "role": {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [
                {
                    "apiGroups": ["serving.kserve.io"],
                    "resources": ["inferenceservices"],
                    "verbs": ["get", "list", "watch"],
                },
                {"apiGroups": ["serving.kserve.io"], "resources": ["servingruntimes"], "verbs": ["get"]},
                {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
                {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["get"]},
            ],
        },
        "binding": {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": part.name, "namespace": values.namespace}],
        },
    }


def monitor(values: Values, *, namespace: Any, selector: Any) -> dict[str, Any]:
    """Return the PodMonitor: all processes are read, with the token in a Secret beside the monitor.

    It is in the namespace of Prometheus, whose operator reads no Secrets anywhere else.
    """
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": NAME, "namespace": namespace, "labels": selector},
        "spec": {
            "namespaceSelector": {"matchNames": [values.namespace]},
            "selector": {"matchLabels": {**INSTANCE, "app.kubernetes.io/component": "process"}},
            "jobLabel": "app.kubernetes.io/instance",
            "podMetricsEndpoints": [
                {
                    "port": "http",
                    "path": "/metrics",
                    "interval": "15s",
                    "authorization": {"type": "Bearer", "credentials": {"name": f"{NAME}-scrape", "key": "token"}},
                }
            ],
        },
    }


def registry_hook(values: Values, part: Part, *, registry: Any, script: str) -> dict[str, dict[str, Any]]:
    """Return the Job that subscribes the auditor to the registry, and its script."""
    program = container(
        "subscribe",
        values.image,
        JOB,
        command=["python", "/etc/registry-hook/registry_hook.py"],
        env={
            "REGISTRY": registry,
            "HOOK": f"http://{part.name}.{values.namespace}.svc.cluster.local:{PORT}/hooks/registry",
            "HOOK_SECRET": {"secret_key_ref": {"name": part.name, "key": "hook-registry"}},
        },
        mounts={"/etc/registry-hook": "script", "/tmp": "tmp"},  # noqa: S108 (a volume of its own)
    )
    volumes = {"script": {"config_map": {"name": f"{NAME}-registry-hook"}}, "tmp": {"empty_dir": {}}}
    return {
        "registry-hook": _config_map(values, f"{NAME}-registry-hook", {"registry_hook.py": script}),
        "subscribe": _job(values, "subscribe", pod_spec([program], volumes=volumes, restart_policy="Never"), script),
    }


def _deployment(values: Values, part: Part) -> dict[str, Any]:
    program = container(
        "cabc",
        values.image,
        values.resources,
        command=["cabc", "serve", f"--role={part.role}"],
        env={"CABC_HOME": HOME},
        ports={"http": PORT},
        mounts={
            HOME: "home",
            SPECIFICATIONS: "specifications",
            DOCUMENTS: "documents",
            DATA: "data",
            "/tmp": "tmp",  # noqa: S108 (a volume of its own)
        },
        startup=http_probe("/healthz", "http", period_seconds=1, failure_threshold=120),
        readiness=http_probe("/readyz", "http", period_seconds=10, timeout_seconds=5),
        liveness=http_probe("/healthz", "http", period_seconds=20, timeout_seconds=10, failure_threshold=6),
    )
    pod = pod_spec(
        [program],
        volumes=_volumes(values, part.name, part.credentials, part.signs),
        service_account=part.name,
        automount_service_account_token=part.collects or (part.has_pages and values.reads_evidence),
        affinity=_BESIDE,
        # Runs get 25 s to finish; what takes longer is given back.
        termination_grace_period_seconds=40,
    )
    spec = deployment_spec(
        part.name,
        pod,
        annotations={"oss-mlops-platform/settings": values.digest},
        strategy={"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}},
    )
    spec["template"]["metadata"]["labels"] |= {**INSTANCE, "app.kubernetes.io/component": "process"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(values, part.name),
        "spec": _camel(spec),
    }


def _migrate(values: Values) -> dict[str, Any]:
    """Bring the tables up to date as their owner, whose password no process has, and say who may do what."""
    program = container(
        "migrate",
        values.image,
        JOB,
        command=["cabc", "roles", "--url=file:/run/secrets/owner/database"],
        mounts={"/run/secrets/owner": "owner", "/tmp": "tmp"},  # noqa: S108 (a volume of its own)
    )
    volumes = {"owner": {"secret": {"secret_name": f"{NAME}-owner"}}, "tmp": {"empty_dir": {}}}
    return _job(values, "migrate", pod_spec([program], volumes=volumes, restart_policy="Never"))


def _verify(values: Values) -> dict[str, Any]:
    """Check the record from time to time, as somebody who may only read it; a fault is a Job that failed."""
    program = container(
        "verify",
        values.image,
        values.resources,
        command=["cabc", "verify"],
        env={"CABC_HOME": HOME},
        mounts={HOME: "home", DATA: "data", "/tmp": "tmp"},  # noqa: S108 (a volume of its own)
    )
    pod = pod_spec(
        [program],
        volumes=_volumes(values, f"{NAME}-read", ["database"], (), read_only=True),
        affinity=_BESIDE,
        restart_policy="Never",
    )
    template = pod_template(f"{NAME}-verify", pod)
    template["metadata"]["labels"] |= INSTANCE
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(values, f"{NAME}-verify"),
        "spec": {
            "schedule": values.verify,
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "spec": {
                    "backoffLimit": 2,
                    "activeDeadlineSeconds": 3600,
                    "template": _camel(template),
                }
            },
        },
    }


_BESIDE = {
    "pod_affinity": {
        "required_during_scheduling_ignored_during_execution": [
            {"label_selector": {"match_labels": INSTANCE}, "topology_key": "kubernetes.io/hostname"}
        ]
    }
}
"""A volume is mounted on one node at a time, and all of them mount the same."""


def _volumes(
    values: Values, secret: str, secrets: Sequence[str], signs: Sequence[str], *, read_only: bool = False
) -> dict[str, Any]:
    """Return the volumes of a pod. Its home has what it needs and no more: credentials and keys of one Secret."""
    items = [{"key": key, "path": f"secrets/{key}"} for key in secrets]
    items += [{"key": f"{role}.key", "path": f"keys/{role}.key"} for role in signs]
    home = {
        "projected": {
            "default_mode": 0o440,
            "sources": [
                {"config_map": {"name": NAME}},
                {"config_map": {"name": f"{NAME}-keys", "items": values.public_key_items}},
                {"secret": {"name": secret, "items": items}},
            ],
        }
    }
    return {
        "home": home,
        "specifications": {"projected": {"sources": values.specification_sources}},
        "documents": {"config_map": {"name": f"{NAME}-documents"}},
        "data": {"persistent_volume_claim": {"claim_name": f"{NAME}-data", "read_only": read_only}},
        "tmp": {"empty_dir": {}},
    }


def _job(values: Values, name: str, pod: Any, script: str = "") -> dict[str, Any]:
    app = f"{NAME}-{name}"
    spec = {"backoffLimit": 6, "activeDeadlineSeconds": 600, "template": _camel(pod_template(app, pod))}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            **_metadata(values, values.job_name(name, {"spec": spec, "script": script})),
            "labels": labels(app),
        },
        "spec": spec,
    }


def _config_map(values: Values, name: str, data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(values, name), "data": data}


def _metadata(values: Values, name: Any) -> dict[str, Any]:
    return {"name": name, "namespace": values.namespace, "labels": labels(NAME)}


def _camel(spec: Any) -> Any:
    """Return a spec with the names that the API has; those of labels and annotations hold no underscore."""
    if isinstance(spec, Mapping):
        return {to_camel(key) if "_" in key else key: _camel(value) for key, value in spec.items()}
    if isinstance(spec, list | tuple):
        return [_camel(value) for value in spec]
    return spec
