"""Bring a program's inputs into the one form that state, diff and API server share."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from mlops.plugins.kubernetes_provider.objects import drop, kind_of
from mlops.plugins.kubernetes_provider.quantities import canonicalize
from mlops.plugins.kubernetes_provider.wire import Unknown, has_unknown

__all__ = ["dashed", "is_crd", "is_secret", "normalize", "underscored"]

_READ_ONLY = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)

_DASHES = {
    f"x_kubernetes_{name.replace('-', '_')}": f"x-kubernetes-{name}"
    for name in (
        "embedded-resource",
        "int-or-string",
        "list-map-keys",
        "list-type",
        "map-type",
        "preserve-unknown-fields",
        "validations",
    )
}
_UNDERSCORES = {dashed: underscored for underscored, dashed in _DASHES.items()}


def is_secret(obj: dict[str, Any]) -> bool:
    """Say whether an object is a core Secret."""
    kind = kind_of(obj)
    return kind.group == "" and kind.kind == "Secret"


def is_crd(obj: dict[str, Any]) -> bool:
    """Say whether an object is a CustomResourceDefinition."""
    kind = kind_of(obj)
    return kind.group == "apiextensions.k8s.io" and kind.kind == "CustomResourceDefinition"


def normalize(obj: dict[str, Any]) -> dict[str, Any]:
    """Return inputs without what the server owns, Secrets as base64 data, quantities in canonical form."""
    result = dict(obj)
    if isinstance(result.get("metadata"), dict):
        result["metadata"] = {key: value for key, value in result["metadata"].items() if key not in _READ_ONLY}
    if is_crd(result):
        return _crd(result)
    if is_secret(result):
        return _secret(result)
    return canonicalize(result)


def _crd(obj: dict[str, Any]) -> dict[str, Any]:
    result = dashed(obj)
    drop(result, "status")
    spec = result.get("spec")
    if isinstance(spec, dict) and spec.get("preserveUnknownFields") is False:
        result["spec"] = {key: value for key, value in spec.items() if key != "preserveUnknownFields"}
    return dict(result)


def _secret(obj: dict[str, Any]) -> dict[str, Any]:
    texts, data = obj.get("stringData"), obj.get("data", {})
    if isinstance(data, Unknown) or has_unknown(texts):
        return obj
    encoded = {key: _reencoded(value) for key, value in data.items()}
    if isinstance(texts, dict) and texts:
        encoded |= {key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}
    result = {key: value for key, value in obj.items() if key not in ("data", "stringData")}
    if encoded or "data" in obj:
        result["data"] = encoded
    return result


def _reencoded(value: Any) -> Any:
    """Spell base64 as the server does: without the line breaks some encoders add."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64encode(base64.b64decode("".join(value.split()), validate=True)).decode()
    except (binascii.Error, ValueError):
        return value  # the API server says what is wrong with it


def dashed(value: Any) -> Any:
    """Spell `x_kubernetes_*` keys of typed SDKs as the API server wants them."""
    return _renamed(value, _DASHES)


def underscored(value: Any) -> Any:
    """Spell `x-kubernetes-*` keys as typed SDKs read them from state."""
    return _renamed(value, _UNDERSCORES)


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Rename keys at any depth; in text, which for a schema of forty thousand nodes is ten times quicker."""
    try:
        text = json.dumps(value)
    except TypeError:  # secrets and unknowns have no text
        return _walked(value, names)
    for old, new in names.items():
        text = text.replace(f'"{old}": ', f'"{new}": ')
    return json.loads(text)


def _walked(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _walked(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_walked(item, names) for item in value]
    return value
