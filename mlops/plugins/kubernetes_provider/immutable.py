"""Which fields cannot be changed in place: known beforehand, or told by the API server's validation."""

from __future__ import annotations

import re
from typing import Any

from mlops.plugins.kubernetes_provider.errors import ApiError
from mlops.plugins.kubernetes_provider.inputs import is_secret
from mlops.plugins.kubernetes_provider.objects import Kind, kind_of

__all__ = ["Path", "fields_of", "forces_replacement", "immutable_paths"]

Path = tuple[str | int, ...]

_VOLUME_SOURCES = (  # noqa: SIM905 (a list of words reads better as words)
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk glusterfs "
    "hostPath iscsi local nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos vsphereVolume"
).split()

_POD = (  # noqa: SIM905 (see above)
    "affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC hostNetwork "
    "hostPID hostname imagePullSecrets nodeName nodeSelector overhead preemptionPolicy priority priorityClassName "
    "readinessGates restartPolicy runtimeClassName schedulerName securityContext serviceAccount serviceAccountName "
    "shareProcessNamespace subdomain terminationGracePeriodSeconds volumes"
).split()
_CONTAINER = (  # noqa: SIM905 (see above)
    "args command env image imagePullPolicy lifecycle livenessProbe ports readinessProbe resources securityContext "
    "stdin stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
).split()

_ALWAYS = ("metadata.name", "metadata.namespace")
_DATA = ("data", "binaryData")
_SECRET_DATA = ("type", "stringData", "data")

_KNOWN: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps", "DaemonSet"): ("spec.selector",),
    ("apps", "Deployment"): ("spec.selector",),
    ("apps", "StatefulSet"): (
        "spec.podManagementPolicy",
        "spec.revisionHistoryLimit",
        "spec.selector",
        "spec.serviceName",
        "spec.volumeClaimTemplates",
    ),
    ("batch", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("", "PersistentVolume"): tuple(f"spec.{source}" for source in _VOLUME_SOURCES),
    ("", "PersistentVolumeClaim"): (
        "spec.accessModes",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeName",
    ),
    ("", "Pod"): (
        *(f"spec.{field}" for field in _POD),
        *(f"spec.{group}.*.{field}" for group in ("containers", "initContainers") for field in _CONTAINER),
    ),
    ("", "ResourceQuota"): ("spec.scopes",),
    ("", "Secret"): ("type",),
    ("", "Service"): ("spec.clusterIP",),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io", "StorageClass"): ("parameters", "provisioner"),
}


def fields_of(obj: dict[str, Any], *, mutable_config_maps: bool, mutable_secrets: bool) -> tuple[str, ...]:
    """Return the paths whose change replaces the object; `*` stands for any element of a list."""
    kind, sealed = kind_of(obj), obj.get("immutable") is True
    fields = _ALWAYS + _KNOWN.get((kind.group, kind.kind), ())
    if is_secret(obj) and (sealed or not mutable_secrets):
        return fields + _SECRET_DATA
    if kind == Kind("", "v1", "ConfigMap") and (sealed or not mutable_config_maps):
        return fields + _DATA
    return fields


def forces_replacement(path: Path, value: Any, fields: tuple[str, ...]) -> bool:
    """Say whether a change at `path` (to or from `value`) touches one of the fields."""
    return any(_touches(path, value, tuple(field.split("."))) for field in fields)


def _touches(path: Path, value: Any, field: tuple[str, ...]) -> bool:
    for step, wanted in zip(path, field, strict=False):
        if step != wanted and not (wanted == "*" and isinstance(step, int)):
            return False
    return len(path) >= len(field) or _inside(value, field[len(path) :])


def _inside(value: Any, rest: tuple[str, ...]) -> bool:
    if not rest:
        return True
    if rest[0] == "*":
        return isinstance(value, list) and any(_inside(item, rest[1:]) for item in value)
    return isinstance(value, dict) and rest[0] in value and _inside(value[rest[0]], rest[1:])


_REFUSALS = re.compile(
    r"field is immutable"
    r"|is immutable after creation"
    r"|immutable once set"
    r"|may not change once set|may not be changed once set|cannot be changed once|can not be changed once"
    r"|updates? .*(?:is|are) forbidden|updates to \w+ spec for fields other than|may not change fields other than"
    r"|pod updates may not|can not be unset|may not be unset"
    r"|cannot change roleRef|updates to provisioner|updates to parameters"
    r"|Forbidden: (?:may not|can ?not) (?:be )?(?:change|update)",
    re.IGNORECASE,
)


def immutable_paths(error: ApiError, changed: list[Path]) -> list[Path]:
    """Return those changed paths that an Invalid error says cannot be changed in place; empty if it says no such thing.

    Where the server names a field that is not among the changes (it checks a whole spec at once), all of them count.
    """
    if not error.invalid:
        return []
    told = [cause for cause in error.causes if _REFUSALS.search(str(cause.get("message", "")))]
    if not told or len(told) < len(error.causes):
        return []
    fields = [tuple(part for part in re.split(r"[.\[\]]+", str(cause.get("field", ""))) if part) for cause in told]
    hit = [path for path in changed if any(_related(tuple(map(str, path)), field) for field in fields)]
    return hit or changed


def _related(path: tuple[str, ...], field: tuple[str, ...]) -> bool:
    length = min(len(path), len(field))
    return length > 0 and path[:length] == field[:length]
