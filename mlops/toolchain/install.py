"""Bring the tools onto this machine: what is missing, in the order it is waited for, one build at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from components._core import paths, sources
from components._core.sources import Source
from mlops import console
from mlops.errors import OperationError
from mlops.toolchain import golang, plugins, upstream
from mlops.toolchain.containers import prepare_host
from mlops.toolchain.environment import environment
from mlops.toolchain.model import Module, NeededFor, module_of, modules
from mlops.toolchain.progress import Progress
from mlops.toolchain.source import Choice, choose
from mlops.toolchain.store import Manifest, folder_of, locked, place, read_manifest, sweep

__all__ = ["Installer", "source_of"]

_SPARE_MEGABYTES = 1000
"""What is left free for everything else."""

Fetch = Callable[[Module, Path], None]


def source_of(module: Module, source: Source) -> Source:
    """Return how a module is really had: what nobody offers for download is built by either source."""
    return source if module.upstream is not None else Source.REGISTRY_ONLY


class Installer:
    """Installs tools. `fetch` says how each source makes the executables of a module, `free` the bytes left on disk."""

    def __init__(
        self,
        choice: Choice | None = None,
        fetch: Mapping[Source, Fetch] | None = None,
        free: Callable[[Path], float] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._choice = choice
        self._free = free
        self._fetch = fetch or {Source.REGISTRY_ONLY: golang.build, Source.UPSTREAM: upstream.download}

    @property
    def choice(self) -> Choice:
        """The source in use and why; found out on first use, and remembered."""
        if self._choice is None:
            self._choice = choose()
        return self._choice

    def wanted(self, names: Iterable[str] | None) -> list[Module]:
        """Return the modules of the named tools; without names all that the source needs on this machine."""
        if names is not None:
            asked = {module_of(name).name for name in names}
            return [module for module in modules().values() if module.name in asked]
        return [
            module
            for module in modules().values()
            if module.needed_for is NeededFor.HOST
            or (self.choice.source is Source.REGISTRY_ONLY and module.needed_for is not NeededFor.CHECKS)
        ]

    def missing(self, wanted: Iterable[Module]) -> list[Module]:
        """Return those that are not there yet."""
        return [module for module in wanted if self.manifest(module) is None]

    def manifest(self, module: Module) -> Manifest | None:
        """Return what is installed of a module."""
        return read_manifest(self.folder(module))

    def folder(self, module: Module) -> Path:
        """Return where a module's executables are, or would be."""
        return folder_of(module, source_of(module, self.choice.source))

    def install(self, names: Iterable[str] | None = None) -> None:
        """Install what is missing. Finished tools stay whatever happens to the rest."""
        sources.remember(self.choice.source)
        prepare_host()
        wanted = self.wanted(names)
        missing = self.missing(wanted)
        if missing:
            self._check_disk(missing)
            labels = {module.name: f"{module.name} {module.version}" for module in missing}
            progress = Progress([(labels[module.name], self._expected(module)) for module in missing])
            try:
                with progress.shown():
                    for module in missing:
                        self._install(module, labels[module.name], progress)
            except KeyboardInterrupt:
                progress.note("Interrupted. What is finished stays; the same command continues where this one ended.")
                raise
        if any(module.name == "pulumi" for module in wanted):
            self._plugins()

    def _install(self, module: Module, label: str, progress: Progress) -> None:
        source = source_of(module, self.choice.source)

        def waiting() -> None:
            progress.note(f"  {label}: waiting for another process that builds tools")

        with progress.step(label), locked("build", waiting):
            if self.manifest(module) is not None:  # somebody else built it meanwhile
                return
            sweep()
            place(module, source, lambda: progress.elapsed(label), lambda into: self._fetch[source](module, into))

    def _plugins(self) -> None:
        source = self.choice.source
        if plugins.is_installed(source):
            return
        with console.step("plugins of pulumi", expected=None if source is Source.UPSTREAM else 10):
            plugins.ensure_engine(source)
            plugins.ensure_kubernetes(source, environment())

    def _expected(self, module: Module) -> float:
        download = 10.0
        return module.seconds if source_of(module, self.choice.source) is Source.REGISTRY_ONLY else download

    def _check_disk(self, missing: Sequence[Module]) -> None:
        cache = paths.cache()
        cache.mkdir(parents=True, exist_ok=True)
        built = [module for module in missing if source_of(module, self.choice.source) is Source.REGISTRY_ONLY]
        needed = sum(module.megabytes for module in built)
        if paths.cache("go", "build").exists():
            needed /= 4  # an interrupted or earlier build has left most of it
        free = self._free(cache) / 1e6
        if free < needed + _SPARE_MEGABYTES:
            msg = f"{cache} has {free / 1000:.1f} GB free; the tools need {(needed + _SPARE_MEGABYTES) / 1000:.1f} GB"
            raise OperationError(
                msg,
                fix="free some space, or set MLOPS_CACHE to a folder on another disk",
            )
