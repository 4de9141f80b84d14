"""Read: what a refresh, an import or a `.get` sees."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider import kinds
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.errors import (
    ApiError,
    NoSuchKindError,
    PartialError,
    ProviderError,
    UnreachableError,
)
from mlops.plugins.kubernetes_provider.inputs import normalize
from mlops.plugins.kubernetes_provider.names import field_manager
from mlops.plugins.kubernetes_provider.objects import Kind, drop, kind_of, parse_identity
from mlops.plugins.kubernetes_provider.state import INITIAL_API_VERSION, checkpoint, parse, prune
from mlops.plugins.kubernetes_provider.wire import mark_secrets, plain

__all__ = ["Reading", "read"]

Reading = tuple[str, dict[str, Any], dict[str, Any]]
"""Id, outputs, inputs; an empty id means that there is no such object."""

_GONE: Reading = ("", {}, {})
_NOT_INPUTS = (
    ("status",),
    ("metadata", "creationTimestamp"),
    ("metadata", "generation"),
    ("metadata", "managedFields"),
    ("metadata", "resourceVersion"),
    ("metadata", "selfLink"),
    ("metadata", "uid"),
    ("metadata", "annotations", "deployment.kubernetes.io/revision"),
    ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"),
)


def read(context: Context, urn: str, resource_id: str, properties: dict[str, Any], inputs: dict[str, Any]) -> Reading:
    """Return the live object, its inputs being what the old inputs speak of (all of it on import)."""
    token = kinds.type_of(urn)
    kinds.refuse_unsupported(token, str(plain(inputs).get("kind", "")))
    try:
        context.client.check()
    except UnreachableError as error:
        return _unreachable(context, urn, error, (resource_id, properties, inputs))
    old_inputs, old_live = normalize(plain(inputs)), parse(properties)[1]
    imported = not old_inputs.get("kind")
    kind = kind_of(old_inputs if not imported else old_live if old_live.get("kind") else {})
    live = _live(context, kind if kind.kind else kinds.from_token(token), resource_id)
    if live is None:
        return _GONE
    live_inputs = normalize(_all_inputs(live) if imported else prune(live, old_inputs))
    version = str(properties.get(INITIAL_API_VERSION, live_inputs["apiVersion"]))
    manager = field_manager(properties, live_inputs, server_side_apply=context.settings.server_side_apply)
    outputs = checkpoint(live_inputs, live, inputs, initial_api_version=version, manager=manager)
    marked = mark_secrets(live_inputs, inputs)
    if not imported:
        unready = context.waiter(context.status(urn)).judged(live, old_inputs)
        if unready is not None:
            reasons = [str(unready), *unready.reasons]
            raise PartialError(resource_id, outputs, marked, reasons)
    return resource_id, outputs, marked


def _live(context: Context, kind: Kind, resource_id: str) -> dict[str, Any] | None:
    namespace, name = parse_identity(resource_id)
    if not name:
        message = f"failed to read resource because of a failure to parse resource name from request ID: {resource_id}"
        raise ProviderError(message)
    try:
        resource = context.client.resource(kind)
        if resource.namespaced and not namespace:
            namespace = context.settings.namespace
        return context.client.find(resource, namespace, name)
    except NoSuchKindError:
        return None  # the definition was deleted, and its objects with it
    except (ApiError, UnreachableError) as error:
        message = f'failed to read {kind.kind} "{resource_id}": {error}'
        raise ProviderError(message) from error


def _unreachable(context: Context, urn: str, error: UnreachableError, as_it_was: Reading) -> Reading:
    context.log.warning(urn, str(error))
    if context.settings.delete_unreachable:
        context.log.info(
            urn,
            f"{error} and the `deleteUnreachable` option is enabled. Deleting the unreachable resource from Pulumi "
            "state",
        )
        return _GONE
    if context.settings.skip_update_unreachable:
        context.log.info(
            urn,
            f"{error} and the `skipUpdateUnreachable` option is enabled. Returned data could not reflect the actual "
            "cluster configuration.",
        )
        return as_it_was
    raise ProviderError(
        "failed to read resource state due to unreachable cluster. If the cluster was deleted, you can remove this "
        "resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE environment "
        'variable set to "true"'
    ) from error


def _all_inputs(live: dict[str, Any]) -> dict[str, Any]:
    """Return everything of an object that a program could have written."""
    inputs: dict[str, Any] = {key: value for key, value in live.items() if key != "status"}
    inputs["metadata"] = dict(live.get("metadata", {}))
    annotations = inputs["metadata"].get("annotations")
    if isinstance(annotations, dict):
        inputs["metadata"]["annotations"] = dict(annotations)
    for path in _NOT_INPUTS:
        drop(inputs, *path)
    if inputs["metadata"].get("annotations") == {}:
        drop(inputs, "metadata", "annotations")
    return inputs
