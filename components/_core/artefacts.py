"""Pinned files of upstream projects, read from their Go module: fetched once, verified, never copied into this project.

The module proxy serves every version for good and the checksum database signs its hash, so the same two
facts (version, hash) pin an artefact whether or not a Go toolchain is present.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import ssl
import zipfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from components._core import paths

__all__ = ["ArtefactError", "GoModule"]


class ArtefactError(Exception):
    """A file of an upstream project cannot be had or is not what was pinned."""


@dataclass(frozen=True)
class GoModule:
    """One version of a Go module.

    `path` and `version` as in go.mod, `h1` as in go.sum (`h1:…`, the hash over all files).
    """

    path: str
    version: str
    h1: str

    def file(self, name: str) -> Path:
        """Return the path of one file or folder of the module, fetching the module when the cache lacks it.

        Raises ArtefactError when the proxy does not answer, the hash differs or the module has no such file.
        """
        found = self.root() / name
        if not found.exists():
            msg = f"{self.path}@{self.version} has no file {name}"
            raise ArtefactError(msg)
        return found

    def root(self) -> Path:
        """Return the folder that holds the module's files."""
        folder = paths.cache("artefacts", f"{self.path.replace('/', '-')}@{self.version}")
        if not folder.exists():
            self._fetch(folder)
        return folder

    def _fetch(self, folder: Path) -> None:
        proxy = os.environ.get("GOPROXY", "https://proxy.golang.org").split(",")[0].split("|")[0].rstrip("/")
        url = f"{proxy}/{_escape(self.path)}/@v/{_escape(self.version)}.zip"
        archive = folder.with_name(f"{folder.name}.{os.getpid()}.zip")
        archive.parent.mkdir(parents=True, exist_ok=True)
        try:
            # The certificates the machine trusts: a company's proxy has its own authority in the system's store.
            trust = ssl.create_default_context()
            with (
                httpx.stream("GET", url, follow_redirects=True, timeout=120, verify=trust) as answer,
                archive.open("wb") as sink,
            ):
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    sink.write(chunk)
            self._unpack(archive, folder)
        except (httpx.HTTPError, zipfile.BadZipFile) as error:
            msg = f"{self.path}@{self.version} cannot be fetched from {proxy}: {error}"
            raise ArtefactError(msg) from error
        finally:
            archive.unlink(missing_ok=True)

    def _unpack(self, archive: Path, folder: Path) -> None:
        prefix = f"{self.path}@{self.version}/"
        with zipfile.ZipFile(archive) as files:
            found = _dirhash(files)
            if found != self.h1:
                msg = f"{self.path}@{self.version}: hash found {found}, wanted {self.h1}"
                raise ArtefactError(msg)
            partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
            for name in files.namelist():
                target = partial / name.removeprefix(prefix)
                if not target.resolve().is_relative_to(partial.resolve()):
                    msg = f"{self.path}@{self.version} holds a file outside itself: {name}"
                    raise ArtefactError(msg)
                target.parent.mkdir(parents=True, exist_ok=True)
                with files.open(name) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
        try:
            partial.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(partial)


def _escape(text: str) -> str:
    """Write upper-case letters as the module proxy wants them: `!` and the lower-case letter."""
    return "".join(f"!{c.lower()}" if c.isupper() else c for c in text)


def _dirhash(files: zipfile.ZipFile) -> str:
    """Return the `h1:` hash of a module zip: SHA-256 over the sorted lines `<hex sha256>  <name>`."""
    lines = hashlib.sha256()
    for name in sorted(files.namelist()):
        lines.update(f"{hashlib.sha256(files.read(name)).hexdigest()}  {name}\n".encode())
    return f"h1:{base64.b64encode(lines.digest()).decode()}"
