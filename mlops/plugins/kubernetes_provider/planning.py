"""Diff: what would change, in place or by replacement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlops.plugins.kubernetes_provider.applying import dry_run
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.diff import Change, compare, path_text, without_ignored
from mlops.plugins.kubernetes_provider.errors import ApiError, NoSuchKindError, ProviderError, UnreachableError
from mlops.plugins.kubernetes_provider.immutable import fields_of, immutable_paths
from mlops.plugins.kubernetes_provider.inputs import normalize
from mlops.plugins.kubernetes_provider.names import is_autonamed, is_named
from mlops.plugins.kubernetes_provider.objects import (
    ANNOTATIONS,
    condition,
    dig,
    is_true,
    kind_of,
    name_of,
    namespace_of,
)
from mlops.plugins.kubernetes_provider.state import parse, prune
from mlops.plugins.kubernetes_provider.wire import has_unknown, plain

__all__ = ["Difference", "difference"]


@dataclass(frozen=True)
class Difference:
    """The answer to Diff."""

    changes: list[Change] = field(default_factory=list)
    replaces: list[str] = field(default_factory=list)
    delete_before_replace: bool = False

    @property
    def any(self) -> bool:
        """Say whether anything has to be done."""
        return bool(self.changes or self.replaces)


def difference(
    context: Context, urn: str, olds: dict[str, Any], news: dict[str, Any], ignored: list[str] | None = None
) -> Difference:
    """Compare the live object in the state, in the shape of the old inputs, with the new inputs."""
    old_inputs, live = parse(olds)
    new, old_inputs = normalize(plain(news)), normalize(old_inputs)
    old = normalize(prune(live, old_inputs))
    _same_place(context, old, new)
    if name_of(new):
        old["metadata"] = {**old.get("metadata", {}), "name": name_of(live)}
    settings = context.settings
    immutable = fields_of(
        new, mutable_config_maps=settings.mutable_config_maps, mutable_secrets=settings.mutable_secrets
    )
    changes = without_ignored(compare(old, new, immutable), ignored or [])
    if changes and not any(change.op.replaces for change in changes):
        changes = _as_the_server_sees_it(context, changes, new, olds=olds, live=live)
    replaces = [change.text for change in changes if change.op.replaces]
    if is_true(new, ANNOTATIONS.REPLACE_UNREADY):
        replaces += _unready(context, urn, live)
    return Difference(changes, replaces, bool(replaces) and _same_name(new, live))


def _same_place(context: Context, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Make an unset namespace and `default` the same, and no namespace of a cluster-scoped object a difference."""
    namespaced = None
    if namespace_of(old) != namespace_of(new):
        namespaced = context.namespaced(kind_of(new))
    for obj in (old, new):
        meta = obj.get("metadata")
        if not isinstance(meta, dict):
            continue
        if namespaced is False:
            obj["metadata"] = {key: value for key, value in meta.items() if key != "namespace"}
        elif not meta.get("namespace") and namespaced:
            obj["metadata"] = {**meta, "namespace": "default"}


def _as_the_server_sees_it(
    context: Context,
    changes: list[Change],
    new: dict[str, Any],
    *,
    olds: dict[str, Any],
    live: dict[str, Any],
) -> list[Change]:
    """Ask the API server: drop what it would store just as it is, mark what it does not change in place."""
    if has_unknown(new) or not context.settings.server_side_apply or context.served(kind_of(new)) is None:
        return changes
    try:
        applied = dry_run(context, olds, new)
    except ApiError as error:
        paths = immutable_paths(error, [change.path for change in changes])
        return [
            Change(change.path, change.op.replacing(), change.value) if change.path in paths else change
            for change in changes
        ]
    except (NoSuchKindError, UnreachableError):
        return changes
    return [change for change in changes if change.op.deletes or not _alike(applied, live, change)]


def _alike(applied: dict[str, Any], live: dict[str, Any], change: Change) -> bool:
    missing = object()
    return bool(dig(applied, *change.path, default=missing) == dig(live, *change.path, default=missing)) or (
        dig(applied, *change.path, default=missing) is missing and dig(live, *change.path, default=missing) is missing
    )


def _unready(context: Context, urn: str, live: dict[str, Any]) -> list[str]:
    """Return the annotation's path where a Job has to be replaced because it is not complete."""
    kind = kind_of(live)
    if kind.kind != "Job":
        context.log.warning(urn, "replaceUnready annotation is not supported for this resource")
        return []
    resource = context.served(kind)
    if resource is None:
        context.log.warning(urn, "Cluster is unreachable, skipping replaceUnready check")
        return []
    try:
        found = context.client.find(resource, namespace_of(live), name_of(live))
    except ProviderError:
        return []
    complete = condition(found, "Complete") if found else None
    if found is None or (complete is not None and complete.get("status") == "True"):
        return []
    return [path_text(("metadata", "annotations", ANNOTATIONS.REPLACE_UNREADY))]


def _same_name(new: dict[str, Any], live: dict[str, Any]) -> bool:
    """Say whether the replacement needs the very name that the old object holds."""
    return (
        is_named(new)
        and not is_autonamed(new)
        and name_of(new) == name_of(live)
        and (namespace_of(new) or namespace_of(live)) == namespace_of(live)
    )
