"""Where built and downloaded tools are kept: one folder per content key, complete or absent."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from components._core import paths
from components._core.sources import Source
from mlops.toolchain.model import Module, key

__all__ = ["Manifest", "folder_of", "locked", "place", "prune", "read_manifest", "sha256", "sweep"]

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What is in a tool's folder, written when it was complete."""

    module: str
    version: str
    source: Source
    key: str
    seconds: float
    """How long it took."""
    binaries: Mapping[str, str]
    """Name of each executable → its SHA-256."""


def folder_of(module: Module, source: Source) -> Path:
    """Return the folder of a module's executables, whether or not it exists."""
    suffix = key(module.name)[:12] if source is Source.REGISTRY_ONLY else f"{module.version}-upstream"
    return paths.cache("toolchain", f"{module.name}-{suffix}")


def read_manifest(folder: Path) -> Manifest | None:
    """Return what the folder holds; None when it is absent, incomplete, or lost a file."""
    try:
        found = json.loads((folder / MANIFEST).read_text())
        manifest = Manifest(**{**found, "source": Source(found["source"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return manifest if all(os.access(folder / name, os.X_OK) for name in manifest.binaries) else None


def place(module: Module, source: Source, seconds: Callable[[], float], fill: Callable[[Path], None]) -> Path:
    """Let `fill` write executables into a new folder, then put it in place in one step."""
    target = folder_of(module, source)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        fill(partial)
        binaries = {file.name: sha256(file) for file in sorted(partial.iterdir()) if os.access(file, os.X_OK)}
        manifest = Manifest(module.name, module.version, source, key(module.name), round(seconds(), 1), binaries)
        (partial / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def sha256(file: Path) -> str:
    """Return the digest of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def locked(name: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock that other processes of this user respect.

    It dies with this process and with what that has started: a build that outlives a killed parent keeps it to its
    end, so that two never compete. `waiting` is called once when somebody else holds it.
    """
    file = paths.cache("toolchain", f".{name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        os.set_inheritable(handle.fileno(), True)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sweep() -> None:
    """Remove what killed processes left half done. Call it under the lock."""
    for partial in paths.cache("toolchain").glob("*.partial"):
        owner = partial.name.split(".")[-2]
        if not (owner.isdigit() and Path("/proc", owner).exists()):
            shutil.rmtree(partial, ignore_errors=True)


def prune(kept: Collection[Path]) -> int:
    """Remove every tool and plugin environment that is not kept; return the bytes that this frees.

    Go's own caches stay: they make the next build quick, whatever it is of.
    """
    freed = 0
    sweep()
    for parent in (paths.cache("toolchain"), paths.cache("plugins")):
        for folder in parent.iterdir() if parent.exists() else ():
            if folder.is_dir() and folder not in kept:
                freed += sum(file.lstat().st_size for file in folder.rglob("*") if file.lstat().st_nlink == 1)
                shutil.rmtree(folder, ignore_errors=True)
    return freed
