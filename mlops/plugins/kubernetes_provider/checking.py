"""Check: turn what the program gave into the inputs that are stored, compared and sent."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider import kinds
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.errors import ProviderError
from mlops.plugins.kubernetes_provider.inputs import normalize
from mlops.plugins.kubernetes_provider.names import Autonaming, assign_name, keep_name
from mlops.plugins.kubernetes_provider.objects import ANNOTATIONS, Kind, annotation, metadata, name_of, namespace_of
from mlops.plugins.kubernetes_provider.wire import Unknown, mark_secrets, plain

__all__ = ["check"]

_MANAGED_BY = "app.kubernetes.io/managed-by"


def check(
    context: Context,
    urn: str,
    olds: dict[str, Any],
    news: dict[str, Any],
    *,
    seed: bytes = b"",
    autonaming: Autonaming | None = None,
) -> dict[str, Any] | None:
    """Return normalized inputs: named, in a namespace, a Secret's text as data, secrets kept secret.

    Of the old inputs only the metadata is looked at. None means that they are to be kept.
    """
    token = kinds.type_of(urn)
    bare, old = plain(news), plain(olds)
    kinds.refuse_unsupported(token, str(bare.get("kind", "")))
    if context.settings.skip_update_unreachable and olds and not context.client.reachable:
        context.log.warning(urn, "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping...")
        return None
    kind = kinds.from_token(token)
    inputs = normalize({"apiVersion": kind.api_version, "kind": kind.kind, **bare})
    if isinstance(inputs.get("metadata"), dict):
        inputs["metadata"] = _own(inputs["metadata"])
    if annotation(inputs, ANNOTATIONS.AUTONAMED):
        context.log.warning(urn, f'ignoring user-specified value for internal annotation "{ANNOTATIONS.AUTONAMED}"')
    resource = urn.rpartition("::")[2]
    if old:
        context.journal.stored(urn, name_of(old))
        keep_name(inputs, old)
    if not old or not metadata(inputs).get("name"):
        assign_name(inputs, resource, seed, autonaming, context.journal.name(urn))
    if metadata(inputs).get("generateName") and not metadata(inputs).get("name"):
        raise ProviderError("the `.metadata.generateName` field is not supported in Server-Side Apply mode")
    _label(context, inputs, old)
    _place(context, kind, inputs, old)
    context.remember_crd(inputs)
    return mark_secrets(inputs, news)


def _own(meta: dict[str, Any]) -> dict[str, Any]:
    """Copy the parts of metadata that are changed here."""
    copied = dict(meta)
    for key in ("annotations", "labels"):
        if isinstance(copied.get(key), dict):
            copied[key] = dict(copied[key])
    return copied


def _label(context: Context, inputs: dict[str, Any], old: dict[str, Any]) -> None:
    """Mark objects of client-side apply as ours; field managers tell it otherwise."""
    marked = old and metadata(old).get("labels", {}).get(_MANAGED_BY) == "pulumi"
    if not (marked or (not old and not context.settings.server_side_apply)):
        return
    if isinstance(inputs.get("metadata"), Unknown) or isinstance(metadata(inputs).get("labels"), Unknown):
        return
    inputs.setdefault("metadata", {}).setdefault("labels", {})[_MANAGED_BY] = "pulumi"


def _place(context: Context, kind: Kind, inputs: dict[str, Any], old: dict[str, Any]) -> None:
    """Fill in the namespace of a namespaced object that names none."""
    if isinstance(inputs.get("metadata"), Unknown) or metadata(inputs).get("namespace"):
        return
    before = namespace_of(old)
    if old and kinds.namespaced(kind) is None:  # a custom kind: what was found out once needs no second question
        namespaced: bool | None = bool(before) and before == context.settings.namespace
        if before and not namespaced:
            namespaced = context.namespaced(kind)
    else:
        namespaced = context.namespaced(kind)
    if namespaced is not False:
        inputs.setdefault("metadata", {})["namespace"] = context.settings.namespace
