"""Create and update objects, and wait until that has taken effect."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider.client import Resource
from mlops.plugins.kubernetes_provider.context import Context
from mlops.plugins.kubernetes_provider.engine import Status
from mlops.plugins.kubernetes_provider.errors import (
    ApiError,
    NoSuchKindError,
    NotReadyError,
    PartialError,
    ProviderError,
    UnreachableError,
)
from mlops.plugins.kubernetes_provider.fields import relinquished
from mlops.plugins.kubernetes_provider.inputs import is_crd, normalize
from mlops.plugins.kubernetes_provider.names import CREATOR, field_manager
from mlops.plugins.kubernetes_provider.objects import (
    ANNOTATIONS,
    dig,
    identity,
    is_true,
    kind_of,
    name_of,
    namespace_of,
)
from mlops.plugins.kubernetes_provider.state import INITIAL_API_VERSION, checkpoint, parse, prune
from mlops.plugins.kubernetes_provider.wire import has_unknown, plain
from mlops.plugins.kubernetes_provider.writing import (
    TRIES,
    apply,
    merge,
    replace,
    respecting,
    take_over,
    write_query,
)

__all__ = ["create", "dry_run", "preview_create", "preview_update", "update"]

_CONFLICT_HELP = (
    "Server-Side Apply field conflict detected. See https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/"
    "managing-resources-with-server-side-apply/#handle-field-conflicts-on-existing-resources for troubleshooting help."
)


def _force(context: Context, obj: dict[str, Any]) -> bool:
    return context.settings.patch_force or is_true(obj, ANNOTATIONS.PATCH_FORCE)


# --- create -----------------------------------------------------------------------------------------------------


def preview_create(context: Context, urn: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return what a creation would give, or the inputs where that cannot be told yet."""
    if has_unknown(properties) or not context.settings.server_side_apply:
        return properties
    inputs = normalize(plain(properties))
    resource = context.served(kind_of(inputs))
    if resource is None:
        return properties
    obj = context.placed(resource, inputs)
    try:
        live: dict[str, Any] = context.client.request(
            "POST", resource.path(namespace_of(obj)), query=write_query(obj, CREATOR, dry=True), body=obj, tries=1
        )
    except ApiError as error:
        if error.invalid or (error.bad_request and "dry run" not in error.message):
            message = f'resource "{urn}" was not successfully created by the Kubernetes API server: {error}'
            raise ProviderError(message) from error
        return properties
    except UnreachableError:
        return properties
    live.pop("status", None)
    return _outputs(inputs, live, properties, obj["apiVersion"], field_manager({}, inputs))


def create(context: Context, urn: str, properties: dict[str, Any], seconds: float) -> tuple[str, dict[str, Any]]:
    """Create an object, wait until it is ready, return its id and outputs."""
    context.client.check()
    inputs, status = normalize(plain(properties)), context.status(urn)
    manager = field_manager({}, inputs, server_side_apply=context.settings.server_side_apply)
    try:
        resource = context.awaited(kind_of(inputs), status)
    except NoSuchKindError as error:
        message = (
            f'creation of resource "{urn}" with kind {inputs["apiVersion"]}/{inputs["kind"]} failed because the '
            "Kubernetes API server reported that the apiVersion for this resource does not exist. Verify that any "
            f"required CRDs have been created: {error}"
        )
        raise ProviderError(message) from error
    obj = context.placed(resource, inputs)
    live = _created(context, urn, resource, obj, manager=manager, status=status)
    status.clear()
    version = str(inputs["apiVersion"])
    try:
        live = _settled(context, resource, live, inputs, seconds=seconds, status=status)
    except NotReadyError as error:
        what = (
            f'resource "{urn}" was successfully created, but the Kubernetes API server reported that it failed to '
            "fully initialize or become live"
        )
        outputs = _outputs(inputs, error.live, properties, version, manager)
        context.journal.done(urn)
        raise PartialError(identity(live), outputs, properties, [f"{what}: {error}", *error.reasons]) from error
    context.journal.done(urn)
    return identity(live), _outputs(inputs, live, properties, version, manager)


def _created(
    context: Context, urn: str, resource: Resource, obj: dict[str, Any], *, manager: str, status: Status
) -> dict[str, Any]:
    """Send the object; continue a creation that was interrupted, adopt nothing else."""
    if context.settings.upsert and context.settings.server_side_apply:
        return apply(context, resource, obj, manager, force=_force(context, obj))
    interrupted = context.journal.name(urn) == name_of(obj)
    doubts: list[Exception] = []
    if not interrupted:
        context.journal.begin(urn, obj)
    for attempt in range(TRIES + 1):
        try:
            live: dict[str, Any] = context.client.request(
                "POST", resource.path(namespace_of(obj)), query=write_query(obj, CREATOR), body=obj, doubts=doubts
            )
        except ApiError as error:
            leaving = error.already_exists and "object is being deleted" in error.message
            if error.already_exists and not leaving and (interrupted or doubts):
                return _continued(context, urn, resource, obj, manager=manager, error=error)
            if not (error.not_found or leaving) or attempt == TRIES:
                context.journal.failed(urn)
                raise _not_created(urn, error) from error
            status.say(f"Retry #{attempt}; creation failed: {error}")
        else:
            return live
        context.pause(attempt, name_of(obj))
    raise AssertionError


def _continued(
    context: Context, urn: str, resource: Resource, obj: dict[str, Any], *, manager: str, error: ApiError
) -> dict[str, Any]:
    live = context.client.find(resource, namespace_of(obj), name_of(obj))
    creators = [entry.get("manager") for entry in dig(live, "metadata", "managedFields", default=[])]
    if live is None or CREATOR not in creators or not context.journal.began(urn, live):
        raise _not_created(urn, error) from error
    context.log.info(urn, f'continuing with {obj["kind"]} "{identity(live)}", which an interrupted update created')
    if is_crd(obj):
        return replace(context, resource, live, obj)
    if not context.settings.server_side_apply:
        return live
    live = take_over(context, resource, live, manager)
    return apply(context, resource, obj, manager, force=True)


def _not_created(urn: str, error: ApiError) -> ProviderError:
    hint = " (to manage an object that exists, import it with `pulumi import`)" if error.already_exists else ""
    return ProviderError(f'resource "{urn}" was not successfully created by the Kubernetes API server: {error}{hint}')


def _settled(
    context: Context,
    resource: Resource,
    live: dict[str, Any],
    inputs: dict[str, Any],
    *,
    seconds: float,
    status: Status,
) -> dict[str, Any]:
    """Wait until the object is ready and return it."""
    try:
        settled = context.waiter(status).until_ready(resource, live, inputs, seconds)
    except NotReadyError:
        raise
    except Exception as error:  # whatever it is, the object exists and must not be lost
        message = f"waiting for '{name_of(live)}' failed: {str(error) or type(error).__name__}"
        raise NotReadyError(message, [], live) from error
    status.clear()
    return settled


def _outputs(
    inputs: dict[str, Any], live: dict[str, Any], properties: dict[str, Any], version: str, manager: str
) -> dict[str, Any]:
    return checkpoint(inputs, live, properties, initial_api_version=version, manager=manager)


# --- update -----------------------------------------------------------------------------------------------------


def _managers(context: Context, olds: dict[str, Any], inputs: dict[str, Any]) -> tuple[str, str]:
    """Return the field manager of the state and the one to use now."""
    old_inputs, _ = parse(olds)
    mode = context.settings.server_side_apply
    now = field_manager(olds, inputs, server_side_apply=mode)
    return field_manager(
        {**olds, "__fieldManager": olds.get("__fieldManager", now)}, old_inputs, server_side_apply=mode
    ), now


def dry_run(context: Context, olds: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what the API server would make of an update, without making it."""
    _, old_live = parse(olds)
    resource = context.client.resource(kind_of(inputs))
    obj = context.placed(resource, inputs)
    if is_crd(obj):
        live = context.client.get(resource, "", name_of(old_live))
        return replace(context, resource, live, obj, dry=True)
    _, manager = _managers(context, olds, inputs)
    return apply(context, resource, obj, manager, force=True, dry=True)


def preview_update(context: Context, urn: str, olds: dict[str, Any], news: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs an update would give, or its inputs where that cannot be told yet."""
    inputs = normalize(plain(news))
    if has_unknown(news) or not context.settings.server_side_apply or context.served(kind_of(inputs)) is None:
        return news
    try:
        live = dry_run(context, olds, inputs)
    except ApiError as error:
        if error.forbidden or error.not_found or not (error.invalid or error.bad_request):
            return news
        message = f'update of resource "{urn}" failed: {error}'
        raise ProviderError(message) from error
    except UnreachableError:
        return news
    _, manager = _managers(context, olds, inputs)
    return _outputs(inputs, live, news, str(olds.get(INITIAL_API_VERSION, inputs["apiVersion"])), manager)


def update(
    context: Context,
    urn: str,
    olds: dict[str, Any],
    news: dict[str, Any],
    *,
    seconds: float = 0,
    ignored: list[str] | None = None,
) -> dict[str, Any]:
    """Bring a live object to its new inputs, wait until it is ready, return its outputs."""
    context.client.check()
    inputs, status = normalize(plain(news)), context.status(urn)
    before, manager = _managers(context, olds, inputs)
    try:
        resource = context.client.resource(kind_of(inputs))
        live = _written(context, resource, olds, inputs, manager=manager, ignored=ignored or [])
        if before != manager and context.settings.server_side_apply:
            apply(context, resource, relinquished(live), before, force=True)
    except NoSuchKindError as error:
        message = (
            f'update of resource "{urn}" failed because the Kubernetes API server reported that the apiVersion for '
            f"this resource does not exist. Verify that any required CRDs have been created: {error}"
        )
        raise ProviderError(message) from error
    except ApiError as error:
        hint = " (run `pulumi refresh`: it was deleted behind Pulumi's back)" if error.not_found else ""
        message = f'update of resource "{urn}" failed: {error}{hint}'
        raise ProviderError(message) from error
    version = str(olds.get(INITIAL_API_VERSION, inputs["apiVersion"]))
    try:
        live = _settled(context, resource, live, inputs, seconds=seconds, status=status)
    except NotReadyError as error:
        what = f'the Kubernetes API server reported that "{identity(live)}" failed to fully initialize or become live'
        outputs = _outputs(inputs, error.live, news, version, manager)
        raise PartialError(identity(live), outputs, news, [f"{what}: {error}", *error.reasons]) from error
    return _outputs(inputs, live, news, version, manager)


def _written(
    context: Context,
    resource: Resource,
    olds: dict[str, Any],
    inputs: dict[str, Any],
    *,
    manager: str,
    ignored: list[str],
) -> dict[str, Any]:
    old_inputs, old_live = parse(olds)
    live = context.client.get(resource, namespace_of(old_live), name_of(old_live))
    obj = context.placed(resource, inputs)
    obj["metadata"]["name"] = name_of(live)
    if is_crd(obj):
        return replace(context, resource, live, obj)
    if not context.settings.server_side_apply:
        return merge(context, resource, live, normalize(prune(old_live, normalize(old_inputs))), obj)
    live = take_over(context, resource, live, manager)
    obj = respecting(obj, live, manager, ignored)
    try:
        return apply(context, resource, obj, manager, force=_force(context, obj))
    except ApiError as error:
        if not error.conflict:
            raise
        message = f'{_CONFLICT_HELP}\nThe resource managed by field manager "{manager}" had an apply conflict: {error}'
        raise ProviderError(message) from error
