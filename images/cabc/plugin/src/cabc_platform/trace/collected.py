"""What was collected about one prediction: files as they came, and why others did not. All judging is done on these."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cabc_platform.trace.canonical import digest
from cabc_platform.trace.errors import InputError, TraceError

__all__ = ["ARTEFACTS", "EVIDENCE", "FILES", "MLMODEL", "PREDICTION", "RECORD", "RUN", "VERSION", "Collected"]

FORMAT = "oss-mlops-platform/trace-export/1"

ABOUT, MISSING, MANIFEST = "about.json", "missing.json", "manifest.json"
PREDICTION = "prediction.json"
VERSION = "version.json"
RUN = "run.json"
ARTEFACTS = "artefacts.json"
MLMODEL = "MLmodel"
RECORD = "record.zip"
EVIDENCE = "evidence.jsonl"
TRACE = "trace.json"
FILES = (PREDICTION, VERSION, RUN, ARTEFACTS, MLMODEL, RECORD, EVIDENCE)

_EPOCH = (1980, 1, 1, 0, 0, 0)

_LARGEST = 1 << 30
"""Bytes that a file of an export may unfold to."""

_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, RuntimeError, NotImplementedError)


@dataclass
class Collected:
    """Files by name."""

    about: Mapping[str, Any]
    """Request, stack, where the services are, when it was collected."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a file is not there, by its name."""

    def put(self, name: str, value: Any) -> None:
        """Keep data as JSON."""
        self.files[name] = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode()

    def data(self, name: str) -> Any:
        """Return a file's data, None when it is not there."""
        content = self.files.get(name)
        return None if content is None else json.loads(content)

    def why(self, name: str) -> str:
        """Return why a file is not there."""
        return self.missing.get(name, "it was not collected")

    def pack(self, trace: Mapping[str, Any]) -> tuple[bytes, str]:
        """Return an archive with a manifest of digests, and the manifest's digest, which stands for all of it."""
        texts = {ABOUT: self.about, MISSING: self.missing, TRACE: trace}
        members = {name: _text(value) for name, value in texts.items()} | self.files
        told = {"format": FORMAT, "members": {name: digest(members[name]) for name in sorted(members)}}
        manifest = _text(told)
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in [*sorted(members.items()), (MANIFEST, manifest)]:
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
        return written.getvalue(), digest(manifest)

    def export(self, path: Path, trace: Mapping[str, Any]) -> str:
        """Write the archive; return its manifest's digest."""
        archive, number = self.pack(trace)
        try:
            path.write_bytes(archive)
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}"
            raise InputError(msg, fix="name another file") from error
        return number

    @classmethod
    def read(cls, path: Path) -> tuple[Collected, Any, str]:
        """Return what an export holds, the trace in it and the manifest's digest.

        Raises TraceError for a file that is none, or that is not what its manifest says.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(info.file_size for info in archive.infolist()) > _LARGEST:
                    msg = f"{path} unfolds to more than {_LARGEST >> 20} MiB"
                    raise TraceError(msg)
                members = {name: archive.read(name) for name in archive.namelist()}
            manifest = members.pop(MANIFEST)
            told = json.loads(manifest)
            _compare(path, told, members)
            about, missing, trace = (json.loads(members.pop(name)) for name in (ABOUT, MISSING, TRACE))
        except _UNREADABLE as error:
            msg = f"{path} is no export of a trace: {error}"
            raise TraceError(msg, fix="mlops trace <request id> --export FILE writes one") from error
        return cls(about, members, missing), trace, digest(manifest)


def _compare(path: Path, told: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    if told["format"] != FORMAT:
        msg = f"{path} has format {told['format']}, wanted {FORMAT}"
        raise TraceError(msg)
    wanted = told["members"]
    if others := sorted(set(wanted) ^ set(members)):
        msg = f"{path} and its manifest differ about {', '.join(others)}"
        raise TraceError(msg, fix="fetch it again from whoever exported it")
    for name, content in members.items():
        if digest(content) != wanted[name]:
            msg = f"{name} in {path} is {digest(content)}, its manifest says {wanted[name]}"
            raise TraceError(msg, fix="fetch it again from whoever exported it")


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode()
