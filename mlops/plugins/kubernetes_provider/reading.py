"""Read: what a refresh, an import or a `.get` sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf import struct_pb2

from mlops.plugins.kubernetes_provider import kinds
from mlops.plugins.kubernetes_provider.applying import dry_run
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.errors import (
    ApiError,
    NoSuchKindError,
    PartialError,
    ProviderError,
    UnreachableError,
)
from mlops.plugins.kubernetes_provider.inputs import is_crd, normalize
from mlops.plugins.kubernetes_provider.names import field_manager
from mlops.plugins.kubernetes_provider.objects import Kind, dig, drop, kind_of, name_of, parse_identity
from mlops.plugins.kubernetes_provider.state import FIELD_MANAGER, INITIAL_API_VERSION, checkpoint, prune
from mlops.plugins.kubernetes_provider.wire import Values, decode, mark_secrets, plain

__all__ = ["Reading", "Stored", "read"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a read found."""

    id: str
    outputs: dict[str, Any]
    inputs: dict[str, Any]


class Stored:
    """What the engine has of a resource, unpacked as far as it is needed."""

    def __init__(self, resource_id: str, properties: struct_pb2.Struct, inputs: struct_pb2.Struct) -> None:
        self.id = resource_id
        self._properties = properties
        self._inputs = inputs

    @cached_property
    def inputs(self) -> Values:
        """Return the inputs."""
        return decode(self._inputs)

    @cached_property
    def head(self) -> Values:
        """Return of the outputs what says which object it is, in which version, and by whom it is managed."""
        return decode(self._properties, only=_HEAD)

    @cached_property
    def steering(self) -> Values:
        """Return of the inputs what steers waiting: the metadata with its annotations."""
        return decode(self._inputs, only=_HEAD)

    @property
    def imported(self) -> bool:
        """Say whether there is an id and nothing else."""
        return "kind" not in self._inputs.fields

    def is_current(self, live: dict[str, Any]) -> bool:
        """Say whether the object was not written to since it was stored."""
        meta = plain(self.head.get("metadata"))
        keys = ("uid", "resourceVersion")
        return all(dig(meta, key) is not None and dig(meta, key) == dig(live, "metadata", key) for key in keys)


_HEAD = frozenset({"apiVersion", "kind", "metadata", INITIAL_API_VERSION, FIELD_MANAGER})
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


def read(context: Context, urn: str, stored: Stored) -> Reading | Stored | None:
    """Return the live object, its inputs being what the old inputs speak of (all of it on import).

    None means that there is no such object; what was stored is returned where nothing was written since.
    """
    token = kinds.type_of(urn)
    kinds.refuse_unsupported(token, str(stored.steering.get("kind", "")))
    try:
        context.client.check()
    except UnreachableError as error:
        return _unreachable(context, urn, error, stored)
    known = stored.steering if "kind" in stored.steering else stored.head
    live = _live(context, kind_of(plain(known)) if "kind" in known else kinds.from_token(token), stored.id)
    if live is None:
        return None
    if not stored.imported and stored.is_current(live):
        found: Reading | Stored = stored
    else:
        found = _reading(context, stored, live)
    if not stored.imported:
        unready = context.waiter(context.status(urn)).judged(live, plain(stored.steering))
        if unready is not None:
            found = found if isinstance(found, Reading) else _reading(context, stored, live)
            raise PartialError(stored.id, found.outputs, found.inputs, [str(unready), *unready.reasons])
    return found


def _reading(context: Context, stored: Stored, live: dict[str, Any]) -> Reading:
    old_inputs = normalize(plain(stored.inputs))
    known = _all_inputs(live) if stored.imported else old_inputs
    manager = field_manager(stored.head, known, server_side_apply=context.settings.server_side_apply)
    live_inputs = normalize(known if stored.imported else _spoken_of(context, stored, live, known))
    version = str(stored.head.get(INITIAL_API_VERSION, live_inputs["apiVersion"]))
    outputs = checkpoint(live_inputs, live, stored.inputs, initial_api_version=version, manager=manager)
    return Reading(stored.id, outputs, mark_secrets(live_inputs, stored.inputs))


def _spoken_of(context: Context, stored: Stored, live: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the live object that the inputs speak of, with what an apply of them would take away."""
    if not context.settings.server_side_apply or is_crd(live) or dig(live, "metadata", "deletionTimestamp"):
        return dict(prune(live, inputs))
    named = {**inputs, "metadata": {**inputs.get("metadata", {}), "name": name_of(live)}}
    try:
        return dict(prune(live, inputs, dry_run(context, plain(stored.head), named)))
    except (ApiError, NoSuchKindError, UnreachableError):
        return dict(prune(live, inputs))  # what the inputs name is compared all the same


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


def _unreachable(context: Context, urn: str, error: UnreachableError, stored: Stored) -> Stored | None:
    context.log.warning(urn, str(error))
    if context.settings.delete_unreachable:
        context.log.info(
            urn,
            f"{error} and the `deleteUnreachable` option is enabled. Deleting the unreachable resource from Pulumi "
            "state",
        )
        return None
    if context.settings.skip_update_unreachable:
        context.log.info(
            urn,
            f"{error} and the `skipUpdateUnreachable` option is enabled. Returned data could not reflect the actual "
            "cluster configuration.",
        )
        return stored
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
