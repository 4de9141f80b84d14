"""Built images on disk: one folder of blobs named by their digest, one small index file per image.

Layers are kept once however many images share them, and an image is written out as a tar that containerd, docker
and podman all read, with or without the layers that the other side already has.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from components._core import files, paths
from mlops.errors import OperationError

__all__ = ["Blob", "Store", "Stored"]

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CHUNK = 1 << 20
_PIECE = 1 << 18


@dataclass(frozen=True)
class Blob:
    """One file of an image: a layer, its configuration, its manifest."""

    digest: str
    size: int


@dataclass(frozen=True)
class Stored:
    """One image in the store."""

    reference: str
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def size(self) -> int:
        """Return the bytes of all layers."""
        return sum(layer.size for layer in self.layers)


class Store:
    """The built images below one folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or paths.cache("images")
        self._blobs = self.folder / "blobs"
        self._index = self.folder / "index"

    def find(self, reference: str) -> Stored | None:
        """Return an image, or None when it is not there in full."""
        try:
            data = json.loads(self._entry(reference).read_text())
        except FileNotFoundError:
            return None
        except ValueError:  # cut off by a full disk: as good as missing
            return None
        stored = Stored(
            data["reference"],
            Blob(**data["manifest"]),
            Blob(**data["config"]),
            tuple(Blob(**layer) for layer in data["layers"]),
        )
        complete = all(self._has(blob) for blob in (stored.manifest, stored.config, *stored.layers))
        return stored if complete else None

    def all(self) -> list[Stored]:
        """Return every image, by reference."""
        references = (json.loads(file.read_text())["reference"] for file in sorted(self._index.glob("*.json")))
        return [stored for stored in map(self.find, references) if stored]

    def add(self, reference: str, archive: IO[bytes]) -> Stored:
        """Take in what `podman save` or `docker save` writes. The image is there in full, or not at all."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        files: dict[str, Blob] = {}
        documents: dict[str, bytes] = {}
        links: dict[str, str] = {}
        with tarfile.open(fileobj=archive, mode="r|") as members:
            for member in members:
                if member.issym() or member.islnk():
                    links[member.name] = os.path.normpath(PurePosixPath(member.name).parent / member.linkname)
                content = members.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                if member.name.endswith(".json") and member.size < _CHUNK:
                    documents[member.name] = content.read()
                    files[member.name] = self._put(io.BytesIO(documents[member.name]))
                else:
                    files[member.name] = self._put(content)
        if "manifest.json" not in documents:
            msg = f"what the container engine saved of {reference} is not an image archive"
            raise OperationError(msg)
        described = json.loads(documents["manifest.json"])[0]
        config = files[described["Config"]]
        layers = [files[links.get(name, name)] for name in described["Layers"]]
        if [layer.digest for layer in layers] != json.loads(self.read(config))["rootfs"]["diff_ids"]:
            msg = f"the layers that the container engine saved of {reference} are not those of its configuration"
            raise OperationError(msg)
        return self._finish(reference, config, layers)

    def extend(self, reference: str, base: Stored | None, layer: IO[bytes], settings: Mapping[str, object]) -> Stored:
        """Make an image of another, or of nothing, and one more layer. `settings` overrides how it runs."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = json.loads(self.read(base.config)) if base else {}
        added = self._put(layer)
        layers = [*(base.layers if base else ()), added]
        document = {
            "architecture": config.get("architecture") or _architecture(),
            "os": "linux",
            "config": {**config.get("config", {}), **settings},
            "rootfs": {"type": "layers", "diff_ids": [one.digest for one in layers]},
        }
        return self._finish(reference, self._put(_document(document)), layers)

    def read(self, blob: Blob) -> bytes:
        """Return what a blob holds."""
        return self._file(blob.digest).read_bytes()

    def _finish(self, reference: str, config: Blob, layers: list[Blob]) -> Stored:
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": config.digest, "size": config.size},
            "layers": [{"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        }
        stored = Stored(reference, self._put(_document(manifest)), config, tuple(layers))
        self._write_entry(stored)
        return stored

    def write(self, stored: Stored, sink: IO[bytes], without: AbstractSet[str] = frozenset()) -> None:
        """Write an image as a tar, leaving out the layers whose digests are given."""
        index = {
            "schemaVersion": 2,
            "manifests": [
                {
                    "mediaType": _MANIFEST,
                    "digest": stored.manifest.digest,
                    "size": stored.manifest.size,
                    "annotations": {
                        "io.containerd.image.name": stored.reference,
                        "org.opencontainers.image.ref.name": stored.reference,
                    },
                }
            ],
        }
        docker = [
            {
                "Config": _path(stored.config),
                "RepoTags": [stored.reference],
                "Layers": [_path(layer) for layer in stored.layers],
            }
        ]
        # A pipe takes large pieces nine times as fast as the ten kilobytes of a tape.
        with tarfile.open(fileobj=sink, mode="w|", bufsize=_PIECE) as archive:
            archive.copybufsize = _PIECE  # type: ignore[attr-defined]  # documented for `open`, unknown to typeshed
            _add_document(archive, "oci-layout", {"imageLayoutVersion": "1.0.0"})
            _add_document(archive, "index.json", index)
            _add_document(archive, "manifest.json", docker)
            for blob in dict.fromkeys((stored.manifest, stored.config, *stored.layers)):
                if blob.digest in without:
                    continue
                entry = tarfile.TarInfo(_path(blob))
                entry.size = blob.size
                with self._file(blob.digest).open("rb") as content:
                    archive.addfile(entry, content)

    def prune(self, keep: AbstractSet[str]) -> int:
        """Remove every image that is not kept, and return the bytes that this frees."""
        for file in self._index.glob("*.json"):
            if json.loads(file.read_text())["reference"] not in keep:
                file.unlink()
        needed = {blob.digest for stored in self.all() for blob in (stored.manifest, stored.config, *stored.layers)}
        freed = 0
        for file in self._blobs.glob("*"):
            if f"sha256:{file.name}" not in needed:
                freed += file.stat().st_size
                file.unlink()
        return freed

    def _put(self, content: IO[bytes]) -> Blob:
        partial = self._blobs / f".partial-{os.getpid()}"
        digest, size = hashlib.sha256(), 0
        try:
            with partial.open("wb") as sink:
                while chunk := content.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    sink.write(chunk)
            blob = Blob(f"sha256:{digest.hexdigest()}", size)
            partial.rename(self._file(blob.digest))
        finally:
            partial.unlink(missing_ok=True)
        return blob

    def _write_entry(self, stored: Stored) -> None:
        entry = {
            "reference": stored.reference,
            "manifest": vars(stored.manifest),
            "config": vars(stored.config),
            "layers": [vars(layer) for layer in stored.layers],
        }
        files.write(self._entry(stored.reference), json.dumps(entry, indent=1))

    def _entry(self, reference: str) -> Path:
        name, _, tag = reference.rpartition("/")[2].partition(":")
        return self._index / f"{name}-{tag}.json"

    def _file(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _has(self, blob: Blob) -> bool:
        file = self._file(blob.digest)
        return file.is_file() and file.stat().st_size == blob.size


def _path(blob: Blob) -> str:
    return f"blobs/sha256/{blob.digest.removeprefix('sha256:')}"


def _document(document: object) -> io.BytesIO:
    return io.BytesIO(json.dumps(document, sort_keys=True).encode())


def _add_document(archive: tarfile.TarFile, name: str, document: object) -> None:
    content = _document(document)
    entry = tarfile.TarInfo(name)
    entry.size = content.getbuffer().nbytes
    archive.addfile(entry, content)


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), platform.machine())
