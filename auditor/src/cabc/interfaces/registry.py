"""Kinds of interfaces: those of the core, each imported when it is first needed, and those of installed plugins."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from cabc.errors import CabcError
from cabc.interfaces.base import InterfacePlugin

__all__ = ["installed", "kinds", "plugin", "plugins"]

Plugin = type[InterfacePlugin[Any, Any]]

_CORE = {
    "rest": "cabc.interfaces.rest:RestPlugin",
    "command": "cabc.interfaces.command:CommandPlugin",
    "sql": "cabc.interfaces.sql:SqlPlugin",
    "file": "cabc.interfaces.file:FilePlugin",
    "prometheus": "cabc.interfaces.prometheus:PrometheusPlugin",
    "mlflow": "cabc.interfaces.mlflow:MlflowPlugin",
    "kubernetes": "cabc.interfaces.kubernetes:KubernetesPlugin",
    "log": "cabc.interfaces.log:LogPlugin",
    "manual": "cabc.interfaces.manual:ManualPlugin",
    "assessor": "cabc.interfaces.assessor:AssessorPlugin",
}


@cache
def installed() -> dict[str, Plugin]:
    """Return the interfaces of installed packages (entry points `cabc.interfaces`); none may take a core kind."""
    found: dict[str, Plugin] = {}
    for point in entry_points(group="cabc.interfaces"):
        loaded: Plugin = point.load()
        if loaded.kind in _CORE or loaded.kind in found:
            msg = f"the interface plugin {point.value} takes the kind {loaded.kind!r}, which there is already"
            raise CabcError(msg, fix=f"Uninstall {point.dist.name if point.dist else point.value}.")
        found[loaded.kind] = loaded
    return found


def kinds() -> tuple[str, ...]:
    """Return every known kind."""
    return (*_CORE, *installed())


@cache
def plugin(kind: str) -> Plugin:
    """Return the plugin class of a kind; KeyError for an unknown one. Its constructor needs no argument."""
    if kind not in _CORE:
        return installed()[kind]
    module, _, name = _CORE[kind].partition(":")
    loaded: Plugin = getattr(import_module(module), name)
    return loaded


def plugins() -> dict[str, Plugin]:
    """Return every plugin class by kind; imports all of them, `plugin` only the one."""
    return {kind: plugin(kind) for kind in kinds()}
