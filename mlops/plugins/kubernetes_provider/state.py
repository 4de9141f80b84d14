"""The state of a resource: the live object, and beside it the inputs it was made from."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider.inputs import dashed, is_crd, underscored
from mlops.plugins.kubernetes_provider.wire import has_secret, mark_secrets, plain

__all__ = ["FIELD_MANAGER", "INITIAL_API_VERSION", "INPUTS", "checkpoint", "parse", "prune"]

INPUTS, INITIAL_API_VERSION, FIELD_MANAGER = "__inputs", "__initialApiVersion", "__fieldManager"


def checkpoint(
    inputs: dict[str, Any],
    live: dict[str, Any],
    secrets_from: dict[str, Any],
    *,
    initial_api_version: str,
    manager: str,
) -> dict[str, Any]:
    """Return the outputs of a resource; what is secret in `secrets_from` is secret in object and inputs."""
    if is_crd(live):
        live, inputs = underscored(live), underscored(inputs)
        secrets_from = underscored(secrets_from) if has_secret(secrets_from) else {}
    return {
        **mark_secrets(live, secrets_from),
        INPUTS: mark_secrets(inputs, secrets_from),
        INITIAL_API_VERSION: initial_api_version,
        FIELD_MANAGER: manager,
    }


def parse(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split outputs into the inputs and the live object they hold, without marks of secrecy."""
    bare = dict(plain(state))
    inputs = bare.pop(INPUTS, {})
    bare.pop(INITIAL_API_VERSION, None)
    bare.pop(FIELD_MANAGER, None)
    if is_crd(bare):
        return dashed(inputs), dashed(bare)
    return inputs, bare


_UNASKED = object()


def prune(live: Any, shape: Any, applied: Any = _UNASKED) -> Any:
    """Return the part of a live value that a program's inputs speak of; lists are matched by position.

    `applied` is what the server would make of applying the inputs, if it was asked: what that would take away is kept,
    because somebody put it into a value that is the program's as a whole, such as a list of rules or a selector.
    """
    if isinstance(live, dict) and isinstance(shape, dict):
        then = applied if isinstance(applied, dict) else {}
        same = {key: prune(value, shape[key], then.get(key, _UNASKED)) for key, value in live.items() if key in shape}
        if isinstance(applied, dict):
            same |= {key: value for key, value in live.items() if key not in shape and key not in applied}
        return same
    if isinstance(live, list) and isinstance(shape, list):
        if live and shape and type(live[0]) is not type(shape[0]):
            return live
        told = isinstance(applied, list) and len(applied) <= len(live)
        thens = applied if told else [_UNASKED] * len(live)
        kept = [prune(*each) for each in zip(live, shape, thens, strict=False)]
        return [*kept, *live[len(thens) :]]
    return live
