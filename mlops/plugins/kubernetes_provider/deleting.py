"""Delete: ask for it, wait until the object is gone, leave alone what must not go."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider import kinds
from mlops.plugins.kubernetes_provider.client import Resource
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.errors import (
    ApiError,
    NoSuchKindError,
    NotReadyError,
    PartialError,
    ProviderError,
    UnreachableError,
)
from mlops.plugins.kubernetes_provider.fields import relinquished
from mlops.plugins.kubernetes_provider.names import field_manager
from mlops.plugins.kubernetes_provider.objects import (
    ANNOTATIONS,
    annotation,
    identity,
    is_true,
    kind_of,
    name_of,
    namespace_of,
    parse_identity,
)
from mlops.plugins.kubernetes_provider.state import INITIAL_API_VERSION, checkpoint, parse
from mlops.plugins.kubernetes_provider.writing import apply

__all__ = ["delete"]

_POLICIES = {"orphan": "Orphan", "background": "Background"}
_UNAWAITED = frozenset({"DaemonSet", "Deployment", "Job", "Namespace", "Pod", "ReplicationController", "StatefulSet"})
"""Kinds for which `skipAwait` also skips waiting for deletion, as it always did."""


def delete(context: Context, urn: str, resource_id: str, properties: dict[str, Any], seconds: float) -> None:
    """Delete an object and wait until it is gone; one that is gone already is no error."""
    try:
        context.client.check()
    except UnreachableError as error:
        _unreachable(context, urn, error)
        return
    inputs, state = parse(properties)
    kind = kind_of(state) if state.get("kind") else kinds.from_token(kinds.type_of(urn))
    namespace, name = parse_identity(resource_id)
    try:
        resource = context.client.resource(kind)
        namespace = (namespace or context.settings.namespace) if resource.namespaced else ""
        live = context.client.find(resource, namespace, name)
    except NoSuchKindError:
        live = None  # the definition was deleted, and its objects with it
    if live is None:
        context.journal.failed(urn)
        return
    if not _asked(context, resource, live, inputs, properties=properties, urn=urn):
        return
    if not (is_true(inputs, ANNOTATIONS.SKIP_AWAIT) and kind.kind in _UNAWAITED):
        _gone(context, resource, live, inputs, urn=urn, properties=properties, seconds=seconds)
    context.journal.failed(urn)


def _asked(
    context: Context,
    resource: Resource,
    live: dict[str, Any],
    inputs: dict[str, Any],
    *,
    properties: dict[str, Any],
    urn: str,
) -> bool:
    """Send the deletion; return False where nothing is left to wait for."""
    policy = _POLICIES.get(annotation(inputs, ANNOTATIONS.DELETION_PROPAGATION).lower(), "Foreground")
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
    try:
        context.client.request("DELETE", resource.path(namespace_of(live), name_of(live)), body=body)
    except ApiError as error:
        if error.not_found:
            return False
        if error.conflict:
            return True  # it is being deleted
        if error.forbidden and context.settings.server_side_apply:
            return _let_go(context, resource, live, error, properties=properties, urn=urn)
        message = f'deletion of {live["kind"]} "{identity(live)}" failed: {error}'
        raise ProviderError(message) from error
    return True


def _let_go(
    context: Context,
    resource: Resource,
    live: dict[str, Any],
    error: ApiError,
    *,
    properties: dict[str, Any],
    urn: str,
) -> bool:
    """Give up the fields of an object that the API server protects from deletion, as `kube-system`."""
    try:
        apply(context, resource, relinquished(live), field_manager(properties, {}), force=True)
    except ApiError:
        message = f'deletion of {live["kind"]} "{identity(live)}" failed: {error}'
        raise ProviderError(message) from error
    context.log.warning(
        urn, f'{live["kind"]} "{identity(live)}" must not be deleted ({error}); its fields were given up'
    )
    return False


def _gone(
    context: Context,
    resource: Resource,
    live: dict[str, Any],
    inputs: dict[str, Any],
    *,
    urn: str,
    properties: dict[str, Any],
    seconds: float,
) -> None:
    status = context.status(urn)
    try:
        context.waiter(status).until_gone(resource, live, inputs, seconds)
    except NotReadyError as error:
        outputs = checkpoint(
            inputs,
            error.live,
            properties,
            initial_api_version=str(properties.get(INITIAL_API_VERSION, live["apiVersion"])),
            manager=field_manager(properties, inputs),
        )
        reasons = [str(error), *error.reasons]
        raise PartialError(identity(live), outputs, inputs, reasons) from error
    status.clear()


def _unreachable(context: Context, urn: str, error: UnreachableError) -> None:
    context.log.warning(urn, str(error))
    if not context.settings.delete_unreachable:
        raise ProviderError(
            "configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this resource "
            "from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE environment "
            'variable set to "true"'
        ) from error
    context.log.info(
        urn,
        f"{error} and the `deleteUnreachable` option is enabled. Deleting the unreachable resource from Pulumi state",
    )
