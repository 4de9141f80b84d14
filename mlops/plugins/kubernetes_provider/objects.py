"""Read and write the common parts of Kubernetes objects held as plain dictionaries."""

from __future__ import annotations

from typing import Any, NamedTuple

from mlops.plugins.kubernetes_provider.wire import Unknown

__all__ = [
    "ANNOTATIONS",
    "Kind",
    "annotation",
    "condition",
    "dig",
    "drop",
    "identity",
    "is_true",
    "kind_of",
    "metadata",
    "name_of",
    "namespace_of",
    "parse_identity",
    "set_annotation",
]

Object = dict[str, Any]


class Annotations:
    """The annotations by which a program steers this provider."""

    AUTONAMED = "pulumi.com/autonamed"
    SKIP_AWAIT = "pulumi.com/skipAwait"
    WAIT_FOR = "pulumi.com/waitFor"
    TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
    REPLACE_UNREADY = "pulumi.com/replaceUnready"
    PATCH_FORCE = "pulumi.com/patchForce"
    PATCH_FIELD_MANAGER = "pulumi.com/patchFieldManager"
    DELETION_PROPAGATION = "pulumi.com/deletionPropagationPolicy"


ANNOTATIONS = Annotations()


class Kind(NamedTuple):
    """An apiVersion and kind, the group being empty for the core API."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """Return the apiVersion as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version


def kind_of(obj: Object) -> Kind:
    """Return the kind an object says it is; `core/v1` counts as `v1`."""
    group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
    return Kind("" if group == "core" else group, version, str(obj.get("kind", "")))


def metadata(obj: Object) -> Object:
    """Return the metadata, or an empty dictionary where it is missing or unknown."""
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def name_of(obj: Object) -> str:
    """Return the object's name, or an empty string while there is none."""
    return _text(metadata(obj).get("name"))


def namespace_of(obj: Object) -> str:
    """Return the object's namespace, or an empty string where there is none."""
    return _text(metadata(obj).get("namespace"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def identity(obj: Object) -> str:
    """Return the id of an object: `namespace/name`, or `name` where it is cluster-scoped."""
    namespace, name = namespace_of(obj), name_of(obj)
    return f"{namespace}/{name}" if namespace else name


def parse_identity(resource_id: str) -> tuple[str, str]:
    """Split an id into namespace (may be empty) and name."""
    namespace, _, name = resource_id.rpartition("/")
    return namespace, name


def annotation(obj: Object, key: str) -> str:
    """Return the value of an annotation, or an empty string."""
    found = metadata(obj).get("annotations")
    return _text(found.get(key)) if isinstance(found, dict) else ""


def is_true(obj: Object, key: str) -> bool:
    """Say whether an annotation is set to `true`."""
    return annotation(obj, key) == "true"


def set_annotation(obj: Object, key: str, value: str) -> None:
    """Set an annotation, unless metadata or annotations are not known yet."""
    meta = obj.setdefault("metadata", {})
    if isinstance(meta, Unknown):
        return
    annotations = meta.setdefault("annotations", {})
    if not isinstance(annotations, Unknown):
        annotations[key] = value


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """Follow a path of keys and indices; return `default` where it ends early or leads to null."""
    current = obj
    for step in path:
        if isinstance(current, dict):
            inside = step in current
        else:
            inside = isinstance(current, list) and isinstance(step, int) and step < len(current)
        if not inside:
            return default
        current = current[step]
    return default if current is None else current


def drop(obj: Object, *path: str) -> None:
    """Remove what a path leads to, if it is there."""
    parent = dig(obj, *path[:-1]) if len(path) > 1 else obj
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


def condition(obj: Object, kind: str) -> Object | None:
    """Return the status condition of a type, or None."""
    for found in dig(obj, "status", "conditions", default=[]):
        if isinstance(found, dict) and found.get("type") == kind:
            return found
    return None
