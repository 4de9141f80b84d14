"""Write: the ways an object gets to the API server, by the creator, by apply, by replacement, by merge patch."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider.client import APPLY, JSON_PATCH, MERGE_PATCH, Resource
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.diff import parse_path
from mlops.plugins.kubernetes_provider.errors import ApiError
from mlops.plugins.kubernetes_provider.fields import handed_over, needs_hand_over, owned_by
from mlops.plugins.kubernetes_provider.kinds import BUILT_IN_GROUPS
from mlops.plugins.kubernetes_provider.names import CREATOR
from mlops.plugins.kubernetes_provider.objects import dig, kind_of, name_of, namespace_of

__all__ = ["TRIES", "apply", "merge", "replace", "respecting", "take_over", "write_query"]

TRIES = 5
"""How often a write is repeated that others get in the way of."""


def write_query(obj: dict[str, Any], manager: str, *, dry: bool = False, force: bool | None = None) -> dict[str, str]:
    """Return the query of a write; misspelt fields of built-in kinds are refused, as the official Check does."""
    query = {"fieldManager": manager}
    query["fieldValidation"] = "Strict" if kind_of(obj).group in BUILT_IN_GROUPS else "Warn"
    if force is not None:
        query["force"] = str(force).lower()
    if dry:
        query["dryRun"] = "All"
    return query


def apply(
    context: Context, resource: Resource, obj: dict[str, Any], manager: str, *, force: bool, dry: bool = False
) -> dict[str, Any]:
    """Apply an object server-side; `force` takes the fields of other managers."""
    applied: dict[str, Any] = context.client.request(
        "PATCH",
        resource.path(namespace_of(obj), name_of(obj)),
        query=write_query(obj, manager, dry=dry, force=force),
        body=obj,
        content_type=APPLY,
        tries=1 if dry else 6,
    )
    return applied


def replace(
    context: Context, resource: Resource, live: dict[str, Any], obj: dict[str, Any], *, dry: bool = False
) -> dict[str, Any]:
    """Put a CRD in place of the old one: its kinds and objects stay."""
    for attempt in range(TRIES + 1):
        body = {**obj, "metadata": {**obj["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}}
        try:
            replaced: dict[str, Any] = context.client.request(
                "PUT", resource.path("", name_of(live)), query=write_query(obj, CREATOR, dry=dry), body=body
            )
        except ApiError as error:
            if not error.conflict or attempt == TRIES:
                raise
            live = context.client.get(resource, "", name_of(live))
        else:
            return replaced
    raise AssertionError


def take_over(context: Context, resource: Resource, live: dict[str, Any], manager: str) -> dict[str, Any]:
    """Hand the fields of client-side managers to ours, so that an apply can also remove them."""
    for attempt in range(TRIES + 1):
        if not needs_hand_over(live, manager):
            return live
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": handed_over(live, manager)},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        ]
        place = resource.path(namespace_of(live), name_of(live))
        try:
            return dict(context.client.request("PATCH", place, body=patch, content_type=JSON_PATCH))
        except ApiError as error:
            if not error.conflict or attempt == TRIES:
                raise
        live = context.client.get(resource, namespace_of(live), name_of(live))
    return live


def respecting(obj: dict[str, Any], live: dict[str, Any], manager: str, ignored: list[str]) -> dict[str, Any]:
    """Leave to others what `ignoreChanges` names and they own; keep what is live where we own it."""
    for text in ignored:
        path = parse_path(text)
        if not path or not all(isinstance(step, str) and step != "*" for step in path):
            continue
        keys = tuple(str(step) for step in path)
        mine, theirs = owned_by(live, keys, manager)
        value = None if theirs and not mine else dig(live, *keys)
        if value is not None or (theirs and not mine):
            obj = _with(obj, keys, value)
    return obj


def _with(obj: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at a path; None removes it."""
    key, *rest = path
    if rest:
        child = obj.get(key)
        if not isinstance(child, dict):
            if value is None:
                return obj
            child = {}
        return {**obj, key: _with(child, tuple(rest), value)}
    if value is None:
        return {name: item for name, item in obj.items() if name != key}
    return {**obj, key: value}


def merge(
    context: Context, resource: Resource, live: dict[str, Any], old: dict[str, Any], obj: dict[str, Any]
) -> dict[str, Any]:
    """Update without server-side apply: a merge patch from what we set before to what we want."""
    merged: dict[str, Any] = context.client.request(
        "PATCH",
        resource.path(namespace_of(live), name_of(live)),
        query=write_query(obj, CREATOR),
        body=_merge_patch(old, obj),
        content_type=MERGE_PATCH,
    )
    return merged


def _merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = dict.fromkeys(key for key in old if key not in new)
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = _merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif value != before:
            patch[key] = value
    return patch
