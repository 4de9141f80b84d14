"""Official builds: downloaded, and checked against the checksum that their project publishes."""

from __future__ import annotations

import re
import shutil
import ssl
import tarfile
from pathlib import Path

import httpx

from mlops.errors import OperationError
from mlops.toolchain.model import Module, Upstream, host_platform
from mlops.toolchain.store import sha256

__all__ = ["download"]

_TIMEOUT = httpx.Timeout(30, read=60)


def download(module: Module, into: Path, client: httpx.Client | None = None) -> None:
    """Fetch the executables of a module. Raises OperationError when they cannot be had or are not what is published."""
    if module.upstream is None:
        msg = f"{module.name} is built from its Go module by either source"
        raise OperationError(msg, fix=f"mlops toolchain install {module.name}")
    url = _fill(module.upstream.url, module)
    archive = into / f".download-{url.rpartition('/')[2]}"
    with client or httpx.Client(follow_redirects=True, timeout=_TIMEOUT, verify=ssl.create_default_context()) as http:
        try:
            wanted = _published(http.get(_fill(module.upstream.checksums, module)).raise_for_status().text, url)
            with http.stream("GET", url) as answer, archive.open("wb") as sink:
                answer.raise_for_status()
                for chunk in answer.iter_bytes():
                    sink.write(chunk)
        except httpx.HTTPError as error:
            msg = f"{module.name} {module.version} cannot be fetched from {url}: {error}"
            raise OperationError(
                msg,
                fix="check the network, or use --source registry-only",
            ) from error
    found = sha256(archive)
    if found != wanted:
        msg = f"{url} is not what its project published: SHA-256 found {found}, wanted {wanted}"
        raise OperationError(
            msg,
            fix="run again; if it stays, somebody between you and the site changes downloads",
        )
    _unpack(archive, module.upstream, module, into)
    archive.unlink()


def _fill(template: str, module: Module) -> str:
    system, architecture = host_platform()
    spelled = (module.upstream.architectures if module.upstream else {}).get(architecture, architecture)
    return template.format(version=module.version, os=system, arch=spelled)


def _published(text: str, url: str) -> str:
    """Return the digest for the file of the URL: on the line that names it, or alone."""
    name = url.rpartition("/")[2]
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for words in lines:
        if re.fullmatch(r"[0-9a-f]{64}", words[0]) and (words[1:] == [] or words[-1].lstrip("*./") == name):
            return words[0]
    msg = f"no SHA-256 of {name} is published"
    raise OperationError(msg, fix="use --source registry-only")


def _unpack(archive: Path, upstream: Upstream, module: Module, into: Path) -> None:
    if upstream.folder is None:
        target = into / (upstream.binary or next(iter(module.binaries)))
        shutil.move(archive, target)
        target.chmod(0o755)
        archive.touch()
        return
    unpacked = into / ".unpacked"
    with tarfile.open(archive) as content:
        content.extractall(unpacked, filter="data")
    for file in (unpacked / upstream.folder).iterdir():
        file.rename(into / file.name)
    shutil.rmtree(unpacked)
