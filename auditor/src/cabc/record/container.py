"""The file of an archive: a zip with the same bytes for the same record, signed as a whole, read with suspicion."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from cabc.errors import CabcError
from cabc.record.canonical import canonical
from cabc.record.checks.faults import Findings
from cabc.record.keys import Keys, PublicKey, signed_by

__all__ = ["FORMAT", "UNREADABLE", "Container", "ContainerError", "Writer"]

FORMAT = "cabc-archive/1"

_MAX_MEMBERS = 1_000_000
_MAX_BYTES = 8 * 2**30
_MAX_MEMBER = 2 * 2**30
_MAX_RATIO = 1100
"""Deflate cannot do more than 1032 to 1."""
_MAX_MANIFEST = 256 * 2**20
_CHUNK = 2**20
UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError)
_EPOCH = (1980, 1, 1, 0, 0, 0)

_SEGMENT = r"[A-Za-z0-9_@+=,-][A-Za-z0-9._@+=, -]{0,199}"
_NAME = re.compile(
    r"manifest\.json|heads\.jsonl|entries/[a-z0-9.-]{1,80}\.jsonl|evidence/[0-9a-f]{64}|keys/[a-z0-9-]{1,80}\.pub"
    rf"|anchors/\d{{1,3}}(/[a-z0-9.-]{{1,80}})?\.jsonl|published(/{_SEGMENT}){{1,8}}"
)


class ContainerError(CabcError):
    """The file is no archive of ours, or one that must not be opened."""

    exit_code = 1


class Writer:
    """Writes members with their digests, then the manifest and the signature over all bytes."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self._path = path
        self._keys = keys
        self._zip = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, allowZip64=True)
        self._members: dict[str, dict[str, object]] = {}

    def add(self, name: str, chunks: Iterator[bytes], *, private: bool = False) -> None:
        """Write a member; a private one is unpacked for its owner only."""
        if not _NAME.fullmatch(name):
            msg = f"{name!r} cannot be a name in an archive"
            raise CabcError(msg, fix="rename the published file: letters, digits, and ._@+=,- only")
        info = zipfile.ZipInfo(name, _EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (stat.S_IFREG | (0o600 if private else 0o644)) << 16
        info.create_system = 3
        hashed, size = hashlib.sha256(), 0
        with self._zip.open(info, "w", force_zip64=True) as stream:
            for chunk in chunks:
                stream.write(chunk)
                hashed.update(chunk)
                size += len(chunk)
        self._members[name] = {"digest": f"sha256:{hashed.hexdigest()}", "size": size}

    def finish(self, about: Mapping[str, object]) -> None:
        """Write the manifest and sign."""
        manifest = canonical({**about, "format": FORMAT, "members": self._members}).encode()
        self.add("manifest.json", iter([manifest]))
        key_id = self._keys.id_of("assess")
        self._zip.comment = _comment(key_id, b"\0" * 64)
        length = len(self._zip.comment)
        self._zip.close()
        with self._path.open("r+b") as stream:
            stream.seek(-length, 2)
            end = stream.tell()
            signature = self._keys.sign("assess", _message(_digest_until(stream, end)))
            stream.seek(end)
            stream.write(_comment(signature.key_id, signature.value))

    def abandon(self) -> None:
        """Close without an end; the file is no archive."""
        self._zip.close()


class Container:
    """An archive's file, opened: names are ours, sizes are bounded, nothing is a link."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            self._infos = _checked(self._zip, path)
            self.manifest: dict[str, object] = self._manifest()
        except FileNotFoundError:
            msg = f"there is no file {path}"
            raise ContainerError(msg) from None
        except (*UNREADABLE, KeyError) as error:
            msg = f"{path} is no archive of cabc: {error}"
            raise ContainerError(msg, fix="fetch it again from where it was exported") from None

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def names(self, prefix: str) -> list[str]:
        """Return the members below a prefix."""
        return sorted(name for name in self._infos if name.startswith(prefix))

    def private(self, name: str) -> bool:
        """Tell whether only the owner may read a member."""
        return not (self._infos[name].external_attr >> 16) & 0o044

    def open(self, name: str) -> IO[bytes]:
        """Open a member for reading."""
        return self._zip.open(self._infos[name])

    def read(self, name: str) -> bytes:
        """Return a member's bytes."""
        return self._zip.read(self._infos[name])

    def check_signature(self, keys: Mapping[str, PublicKey], findings: Findings) -> None:
        """See that the file, to its last byte, is what was signed."""
        where = str(self.path)
        comment = self._zip.comment
        try:
            said = json.loads(comment)
            key_id, signature = said["keyId"], said["signature"]
            spelled = _comment(key_id, base64.b64decode(signature, validate=True))
        except (ValueError, KeyError, TypeError):
            findings.add(where, "its signature cannot be read")
            return
        key = keys.get(key_id)
        if key is None or key.role != "assess":
            findings.add(where, f"signed with a key that is not known for assess: {key_id}")
            return
        with self.path.open("rb") as stream:
            end = stream.seek(0, 2) - len(comment)
            message = _message(_digest_until(stream, end))
        if spelled != comment or not signed_by(key, message, signature):
            findings.add(where, "its bytes are not those that were signed")

    def check_members(self, findings: Findings) -> None:
        """Compare every member with the manifest."""
        members = self.manifest.get("members")
        listed = members if isinstance(members, dict) else {}
        for name in sorted({*listed, *self._infos} - {"manifest.json"}):
            where = f"{self.path}!{name}"
            findings.counts["archive members"] += 1
            if name not in self._infos or name not in listed:
                findings.add(where, "is listed and not there" if name in listed else "is there and not listed")
                continue
            try:
                found = self._digest(name)
            except UNREADABLE as error:
                findings.add(where, f"cannot be read: {error}")
                continue
            if {"digest": found, "size": self._infos[name].file_size} != listed[name]:
                findings.add(where, "is not what was exported")

    def _digest(self, name: str) -> str:
        hashed = hashlib.sha256()
        with self.open(name) as stream:
            while chunk := stream.read(_CHUNK):
                hashed.update(chunk)
        return f"sha256:{hashed.hexdigest()}"

    def _manifest(self) -> dict[str, object]:
        if self._infos["manifest.json"].file_size > _MAX_MANIFEST:
            raise ValueError("its manifest is too large")
        found = json.loads(self.read("manifest.json"))
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            msg = f"its format is not {FORMAT}"
            raise ValueError(msg)
        return found


def _checked(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name; ValueError for anything that we would not have written."""
    infos = archive.infolist()
    found = {info.filename: info for info in infos}
    size = path.stat().st_size
    if len(infos) > _MAX_MEMBERS or len(found) != len(infos):
        raise ValueError("it has too many members, or two of the same name")
    # Members that share bytes are how small files unpack to petabytes.
    if sum(info.file_size for info in infos) > _MAX_BYTES or sum(info.compress_size for info in infos) > size:
        raise ValueError("it would unpack to more than it can hold")
    for info in infos:
        mode = info.external_attr >> 16
        if not _NAME.fullmatch(info.filename) or info.is_dir() or stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
            msg = f"it has a member that no export writes: {info.filename!r}"
            raise ValueError(msg)
        if info.file_size > min(_MAX_MEMBER, _MAX_RATIO * max(info.compress_size, 1)) or info.flag_bits & 1:
            msg = f"member {info.filename} would unpack to {info.file_size} bytes"
            raise ValueError(msg)
    return found


def _message(name: str) -> bytes:
    return f"{FORMAT}\n{name}".encode()


def _comment(key_id: str, signature: bytes) -> bytes:
    return canonical({"keyId": key_id, "signature": base64.b64encode(signature).decode()}).encode()


def _digest_until(stream: IO[bytes], end: int) -> str:
    hashed = hashlib.sha256()
    stream.seek(0)
    while end > 0 and (chunk := stream.read(min(_CHUNK, end))):
        hashed.update(chunk)
        end -= len(chunk)
    return f"sha256:{hashed.hexdigest()}"
