"""Packages of the operating system that registry-only builds need: installed by root, told to everybody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components._core.sources import Source
from mlops import console
from mlops.errors import OperationError
from mlops.toolchain.containers import find_engine

__all__ = ["PACKAGES", "Package", "command", "ensure", "missing"]


@dataclass(frozen=True)
class Package:
    """One Debian package, and how to tell that it is there on any system."""

    name: str
    why: str
    command: str | None = None
    """An executable of it."""
    file: str | None = None
    """A file of it, where it has no executable on PATH."""

    def present(self) -> bool:
        """Tell whether it is installed."""
        if self.command is not None and _which(self.command):
            return True
        return self.file is not None and Path(self.file).exists()


PACKAGES: Sequence[Package] = (
    Package("podman", "runs the cluster's node and the image builds", command="podman"),
    Package("runc", "starts containers on kernels with hybrid cgroups", command="runc"),
    Package("conmon", "watches over containers", command="conmon"),
    Package("netavark", "gives containers a network", file="/usr/lib/podman/netavark"),
    Package("aardvark-dns", "lets containers find each other by name", file="/usr/lib/podman/aardvark-dns"),
    Package("iptables", "gives containers a network", command="iptables"),
    Package("buildah", "builds images without a daemon", command="buildah"),
    Package("fuse-overlayfs", "stacks image layers where the kernel cannot", command="fuse-overlayfs"),
    Package("debootstrap", "makes the base of the images", command="debootstrap"),
    Package("uidmap", "lets somebody who is not root run containers", command="newuidmap"),
    Package("ca-certificates", "trusts the package registries", file="/etc/ssl/certs/ca-certificates.crt"),
)
"""What registry-only needs of the system. Where docker runs, podman and its parts are not needed."""

_OF_PODMAN = {"podman", "runc", "conmon", "netavark", "aardvark-dns", "fuse-overlayfs", "uidmap"}


def missing(source: Source) -> list[Package]:
    """Return the packages that are needed and not there."""
    if source is Source.UPSTREAM or sys.platform != "linux":
        return []
    found = find_engine()
    needed = [each for each in PACKAGES if found is None or found.name == "podman" or each.name not in _OF_PODMAN]
    if os.geteuid() == 0:
        needed = [each for each in needed if each.name not in {"uidmap", "fuse-overlayfs"}]
    return [each for each in needed if not each.present()]


def command(packages: Sequence[Package]) -> str:
    """Return the one line that installs them on Debian and Ubuntu."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y --no-install-recommends {' '.join(each.name for each in packages)}"


def ensure(
    source: Source,
    *,
    allowed: bool | None = None,
    lacking: Callable[[Source], list[Package]] = missing,
    run: Callable[[Sequence[str], Mapping[str, str]], int] | None = None,
) -> None:
    """Install what is missing, where that is ours to do: root on Debian or Ubuntu, or somebody who said so.

    Raises OperationError with the line to run in every other case.
    """
    found = lacking(source)
    if not found:
        return
    names = ", ".join(each.name for each in found)
    if allowed is False or not (_is_debian() and (os.geteuid() == 0 or allowed)):
        msg = f"packages of the system are missing: {names}"
        raise OperationError(msg, fix=command(found))
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with console.step(f"system packages: {names}", expected=60):
        for arguments in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-install-recommends", *(p.name for p in found)],
        ):
            code = (run or _run)([*sudo, "apt-get", *arguments], env)
            if code:
                msg = f"`apt-get {' '.join(arguments)}` failed with {code}"
                raise OperationError(msg, fix=command(found))
    find_engine.cache_clear()


def _run(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    done = subprocess.run(arguments, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        console.err.print((done.stderr or done.stdout).strip(), markup=False)
    return done.returncode


def _is_debian() -> bool:
    release = Path("/etc/os-release")
    words = release.read_text().split() if release.exists() else []
    return any(word.split("=")[0] in {"ID", "ID_LIKE"} and ("debian" in word or "ubuntu" in word) for word in words)


def _which(name: str) -> str | None:
    # sbin is not on the PATH of everybody, and what is there counts all the same.
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
