"""Names the provider gives: autonames of objects and field managers, both with eight random hex digits."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from mlops.plugins.kubernetes_provider.errors import ProviderError
from mlops.plugins.kubernetes_provider.objects import (
    ANNOTATIONS,
    annotation,
    is_true,
    metadata,
    name_of,
    set_annotation,
)
from mlops.plugins.kubernetes_provider.wire import Unknown

__all__ = ["Autonaming", "assign_name", "field_manager", "is_autonamed", "is_named", "keep_name"]

CREATOR = "pulumi-kubernetes"
"""The field manager of client-side creation, and the prefix of all others."""


class Autonaming:
    """What the stack's `pulumi:autonaming` configuration asks for."""

    PROPOSE, ENFORCE, DISABLE = range(3)

    def __init__(self, proposed: str, mode: int) -> None:
        self.proposed = proposed
        self.mode = mode


def _digits(seed: bytes) -> str:
    if not seed:
        return f"{random.SystemRandom().getrandbits(32):08x}"
    return hashlib.sha256(seed).hexdigest()[:8]


def assign_name(
    inputs: dict[str, Any], resource: str, seed: bytes, autonaming: Autonaming | None, remembered: str = ""
) -> None:
    """Name an object that the program did not name; `remembered` is the name an interrupted run gave it."""
    meta = metadata(inputs)
    if isinstance(inputs.get("metadata"), Unknown) or meta.get("name") or meta.get("generateName"):
        return
    if autonaming and autonaming.mode == Autonaming.DISABLE:
        message = f'autonaming is disabled by the stack\'s configuration: set metadata.name of "{resource}"'
        raise ProviderError(message)
    name = remembered or (autonaming.proposed if autonaming and autonaming.proposed else "")
    inputs.setdefault("metadata", {})["name"] = name or f"{resource}-{_digits(seed)}"
    set_annotation(inputs, ANNOTATIONS.AUTONAMED, "true")


def keep_name(inputs: dict[str, Any], old: dict[str, Any]) -> None:
    """Give an object the autoname it had before, unless the program names it now."""
    if isinstance(inputs.get("metadata"), Unknown) or metadata(inputs).get("name"):
        return
    if is_autonamed(old):
        inputs.setdefault("metadata", {})["name"] = name_of(old)
        set_annotation(inputs, ANNOTATIONS.AUTONAMED, "true")


def is_autonamed(obj: dict[str, Any]) -> bool:
    """Say whether this provider chose the object's name."""
    return is_true(obj, ANNOTATIONS.AUTONAMED)


def is_named(inputs: dict[str, Any]) -> bool:
    """Say whether the object has a name, be it one that is not known yet."""
    return bool(metadata(inputs).get("name"))


def field_manager(state: dict[str, Any], inputs: dict[str, Any], *, server_side_apply: bool = True) -> str:
    """Return the manager of an object's later updates: annotation, else state, else a new one."""
    if not server_side_apply:
        return CREATOR
    kept = state.get("__fieldManager")
    return (
        annotation(inputs, ANNOTATIONS.PATCH_FIELD_MANAGER)
        or (kept if isinstance(kept, str) else "")
        or f"{CREATOR}-{_digits(b'')}"
    )
