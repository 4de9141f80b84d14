"""Which container images there are, what each is made of, and what a resource asks for. Builds nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from components._core import paths, sources
from components._core.sources import Source

__all__ = [
    "LOCAL",
    "RECIPES",
    "TOOL_FIELDS",
    "Image",
    "Layer",
    "Recipes",
    "Upstream",
    "find_references",
    "image",
    "is_local",
    "key",
    "names",
    "reference",
    "tool_files",
    "whole",
]

LOCAL = "localhost/oss-mlops-platform"
"""Where the images we build live: a name that no registry answers to, so that nothing is ever pulled by mistake."""

_FORMAT = "1"
"""Part of every key: raise it when the way images are put together changes."""


class Upstream(BaseModel):
    """Files of an upstream Go module, at the version and hash that a module of `toolchain/` locks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: str
    """Path of the Go module."""
    folder: str
    """Folder inside it."""


class Layer(BaseModel):
    """A recipe that only adds files: put together without a container engine, in the time that copying takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, str]
    """Where each file or folder goes, by its path in the image's folder or `bin/<program>`."""
    entrypoint: list[str] | None = None
    """What runs. None: what the base runs."""
    user: str | None = None
    """`uid:gid`. None: that of the base."""


class Image(BaseModel):
    """One container image: `images/<name>/image.yaml`, and beside it a Containerfile unless it says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str
    """What runs in it, in one line."""
    upstream: str | None = None
    """The project's own image, used where registries are reachable. None: nobody publishes one, so it is built."""
    base: str | None = None
    """The image that the recipe starts from. None: it starts from nothing."""
    debootstrap: str | None = None
    """The Debian suite that this image is: it has no Containerfile."""
    layer: Layer | None = None
    """What this image adds to its base: it has no Containerfile."""
    binaries: dict[str, list[str]] = Field(default_factory=dict)
    """Programs that the recipe finds in `bin/`, by the module of `toolchain/` that builds them."""
    sources: dict[str, Upstream] = Field(default_factory=dict)
    """Folders that the recipe finds in `upstream/<key>/`; the key is the module of `toolchain/` that locks them."""
    folders: dict[str, str] = Field(default_factory=dict)
    """Folders of the checkout that go into it whole, by the name under which the recipe finds them."""
    seconds: float = 5
    """How long a build takes on two cores, to tell people what to expect."""


class Recipes:
    """The recipes below one folder, and the locked modules of the tools that go into them."""

    def __init__(self, folder: Path, toolchain: Path) -> None:
        self.folder = folder
        self.checkout = folder.parent
        self.toolchain = toolchain
        self._images: dict[str, Image] = {}
        self._keys: dict[tuple[str, Source], str] = {}

    def names(self) -> list[str]:
        """Return the names of all images."""
        return sorted(file.parent.name for file in self.folder.glob("*/image.yaml"))

    def image(self, name: str) -> Image:
        """Return one image. Raises KeyError, naming what exists."""
        if name not in self._images:
            file = self.folder / name / "image.yaml"
            if not file.is_file():
                msg = f"there is no image {name!r}; images are {', '.join(self.names())}"
                raise KeyError(msg)
            self._images[name] = Image.model_validate(yaml.safe_load(file.read_bytes()))
        return self._images[name]

    def reference(self, name: str, source: Source | None = None) -> str:
        """Return what a pod asks for: the upstream image, or the local one by content where it has to be built.

        `source` defaults to the one in use.
        """
        source = source or sources.chosen() or Source.UPSTREAM
        upstream = self.image(name).upstream
        if source is Source.UPSTREAM and upstream:
            return upstream
        return f"{LOCAL}/{name}:{self.key(name, source)}"

    def key(self, name: str, source: Source | None = None) -> str:
        """Return 12 hex digits that change when anything the image is made of changes."""
        source = source or sources.chosen() or Source.UPSTREAM
        if (name, source) not in self._keys:
            self._keys[name, source] = self._key(name, source)
        return self._keys[name, source]

    def _key(self, name: str, source: Source) -> str:
        found = self.image(name)
        recipe = found.model_dump_json(exclude={"summary", "upstream", "seconds"}, exclude_defaults=True)
        digest = hashlib.sha256(f"{_FORMAT}{recipe}".encode())
        for file in _files(self.folder / name):
            digest.update(f"{file.relative_to(self.folder)}\0{file.stat().st_mode & 0o111}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        for path in sorted(found.folders.values()):
            for file in whole(self.checkout / path):
                digest.update(f"{file.relative_to(self.checkout)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        for module in sorted({*found.binaries, *found.sources}):
            folder = self.toolchain / module
            told = yaml.safe_load((folder / "tool.yaml").read_bytes())
            digest.update(json.dumps({name: told.get(name) for name in TOOL_FIELDS}).encode())
            for file in tool_files(folder):
                digest.update(f"{file.relative_to(self.toolchain)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        if found.binaries:
            digest.update((self.toolchain / "go.txt").read_bytes())
        if found.base:
            digest.update(self.reference(found.base, source).encode())
        return digest.hexdigest()[:12]


TOOL_FIELDS = ("version", "binaries", "ldflags", "tags")
"""What of a tool.yaml goes into the executables; the rest tells people what to expect."""


def tool_files(folder: Path) -> list[Path]:
    """Return the files of a module of `toolchain/` that its executables are built from."""
    return sorted(file for file in folder.iterdir() if file.suffix in {".mod", ".sum", ".go"})


RECIPES = Recipes(paths.CHECKOUT / "images", paths.CHECKOUT / "toolchain")
"""Those of this checkout."""

names = RECIPES.names
image = RECIPES.image
reference = RECIPES.reference
key = RECIPES.key


def is_local(text: str) -> bool:
    """Tell whether a reference is one of ours, to be built and loaded and never pulled."""
    return text.startswith(f"{LOCAL}/")


def whole(folder: Path) -> list[Path]:
    """Return every file of a folder but what tools leave behind. Raises FileNotFoundError when there is none."""
    found = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and file.suffix != ".pyc"
        # Caches of Python, of type checkers, of whoever: a key has to be the same in every checkout.
        and not any(part == "__pycache__" or part.startswith(".") for part in file.relative_to(folder).parts)
    )
    if not found:
        msg = f"an image is made of {folder}, and nothing is there"
        raise FileNotFoundError(msg)
    return found


def _files(folder: Path) -> list[Path]:
    """Return what counts of a recipe: not prose, and image.yaml by its fields."""
    return [file for file in whole(folder) if file.name not in {"README.md", "image.yaml"}]


_IMAGE_KEY = re.compile(r"(?:^|[a-z])[iI]mage$|^image$")
_REFERENCE = re.compile(
    r"(?<![\w./@:-])"
    r"(?P<registry>localhost|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+)(?::\d+)?"
    r"/[a-z0-9][a-z0-9._/-]*"
    r"(?::[\w][\w.-]{0,127}(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})"
    r"(?![\w/])"
)


def find_references(resource: object) -> set[str]:
    """Return every image that a resource names, anywhere inside it.

    Found are the values of `image` keys (containers, init containers, custom resources), and full references
    (`registry/name:tag`) inside any other text: arguments, JSON or YAML in ConfigMaps, annotations.
    """
    return set(_walk(resource, field=""))


def _walk(value: object, field: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(inner, field)
    elif isinstance(value, str):
        if _IMAGE_KEY.search(field) and value and not re.search(r"[\s{}$]", value):
            yield value
        elif "/" in value:
            yield from (match.group(0) for match in _REFERENCE.finditer(value))
