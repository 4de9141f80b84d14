"""The tools of the platform: which there are, where they come from, how they get onto this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components._core import paths, sources
from components._core.sources import Source
from mlops.errors import OperationError
from mlops.toolchain import plugins, system
from mlops.toolchain.containers import Engine, engine, find_engine
from mlops.toolchain.environment import current_source, environment, exports
from mlops.toolchain.environments import plugin_environment
from mlops.toolchain.install import Installer, source_of
from mlops.toolchain.model import Module, NeededFor, go_version, key, module_of, modules
from mlops.toolchain.source import Choice, choose
from mlops.toolchain.store import folder_of
from mlops.toolchain.store import prune as remove_others

__all__ = ["Choice", "Engine", "Tool", "binary", "choose", "current_source", "engine", "environment", "exports",
           "find_engine", "install", "key", "modules", "prune", "tools"]  # fmt: skip


@dataclass(frozen=True)
class Tool:
    """One executable, installed or not."""

    name: str
    version: str
    summary: str
    source: Source
    path: Path
    installed: bool
    sha256: str | None
    """Recorded when it was installed."""
    stand_in: bool = False
    """True for ours, where the official one cannot be had."""
    by_name: bool = False
    """True for one that is only there when somebody asked for it."""


def binary(name: str) -> Path:
    """Return the path of an executable, installing its module first when it is missing.

    Raises UsageError when there is no such tool, OperationError when it cannot be had.
    """
    module = module_of(name)
    installer = Installer(Choice(current_source(), "in use")) if _is_chosen() else Installer()
    ready = installer.manifest(module) is not None
    if not ready or (module.name == "pulumi" and not plugins.is_installed(installer.choice.source)):
        installer.install([module.name])
    if name == "pulumi":
        return plugins.engine_folder(installer.choice.source) / name
    found = installer.folder(module) / name
    if not found.exists():
        msg = f"{name} is not part of the official download of {module.name}"
        raise OperationError(msg, fix=f"use MLOPS_SOURCE={Source.REGISTRY_ONLY}")
    return found


def install(
    names: Iterable[str] | None = None, *, source: Source | None = None, system_packages: bool | None = None
) -> Choice:
    """Install the named tools, or all that this machine needs; return the source and why it was chosen.

    All that is needed includes packages of the system, which come first: see `system.ensure` for whose they are.
    """
    installer = Installer(choose(source))
    if names is None:
        system.ensure(installer.choice.source, allowed=system_packages)
    installer.install(names)
    return installer.choice


def tools() -> list[Tool]:
    """Return every executable and plugin with where it is and what is recorded of it. Installs nothing."""
    source = current_source()
    found = [tool for module in modules().values() for tool in _tools(module, source)]
    for plugin in plugins.plugins(source):
        version = plugins.KUBERNETES_VERSION if plugin.name == plugins.KUBERNETES else modules()["pulumi"].version
        summary = "the Kubernetes provider" if plugin.name == plugins.KUBERNETES else "runs programs written in Python"
        origin = Source.UPSTREAM if plugin.official else Source.REGISTRY_ONLY
        found.append(
            Tool(
                plugin.name, version, summary, origin, plugin.path, plugin.installed, None, stand_in=not plugin.official
            )
        )
    return found


def prune() -> int:
    """Remove tools and plugin environments that this checkout does not use; return the bytes freed."""
    stand_ins = plugin_environment()
    kept = {paths.cache("toolchain", f"go-{go_version()}"), stand_ins.packages, stand_ins.code}
    for source in Source:
        kept |= {folder_of(module, source) for module in modules().values()} | {plugins.engine_folder(source)}
    return remove_others(kept)


def _tools(module: Module, source: Source) -> list[Tool]:
    installer = Installer(Choice(source, "in use"))
    manifest = installer.manifest(module)
    recorded = manifest.binaries if manifest else {}
    names = sorted({*module.binaries, *(name for name in recorded if not name.startswith("pulumi-"))})
    return [
        Tool(
            name=name,
            version=module.version,
            summary=module.summary,
            source=source_of(module, source),
            path=installer.folder(module) / name,
            installed=name in recorded,
            sha256=recorded.get(name),
            by_name=module.needed_for is NeededFor.CHECKS,
        )
        for name in names
    ]


def _is_chosen() -> bool:
    return sources.chosen() is not None
