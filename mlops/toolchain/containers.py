"""The container engine: which one to use, and the settings it needs on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from components._core import paths
from mlops.errors import OperationError, UsageError

__all__ = ["Engine", "engine", "engine_environment", "find_engine", "prepare_host"]

ENGINES = ("docker", "podman")
OVERRIDE = "MLOPS_ENGINE"

_CAP_SYS_RESOURCE = 24

_PROBE_SECONDS = 10

_CONTAINERS_CONF = """\
# Written by `mlops toolchain`. Without CAP_SYS_RESOURCE no process limit can be raised, and podman raises two.
[containers]
default_ulimits = []

[engine]
runtime = "{runtime}"
"""


@dataclass(frozen=True)
class Engine:
    """The program that runs containers on this machine."""

    name: str
    """`docker` or `podman`."""
    path: Path
    reason: str
    """Why this one."""


def engine() -> Engine:
    """Return the engine in use. Raises OperationError when there is none, UsageError for a wrong `MLOPS_ENGINE`."""
    found = find_engine()
    if found is None:
        raise OperationError(
            "no container engine: docker has no running daemon and podman is not installed",
            fix="start docker, or install podman (on Debian or Ubuntu: apt-get install podman)",
        )
    return found


@cache
def find_engine() -> Engine | None:
    """Return the engine in use, or None: what `MLOPS_ENGINE` says, else docker with a running daemon, else podman."""
    asked = os.environ.get(OVERRIDE, "").strip()
    if asked and asked not in ENGINES:
        msg = f"{OVERRIDE} is {asked!r}"
        raise UsageError(msg, fix=f"set it to one of {', '.join(ENGINES)}, or unset it")
    if asked:
        path = shutil.which(asked)
        if path is None:
            msg = f"{OVERRIDE} is {asked}, which is not on PATH"
            raise UsageError(msg, fix=f"install {asked} or unset {OVERRIDE}")
        return Engine(asked, Path(path), f"{OVERRIDE}={asked}")
    docker, podman = shutil.which("docker"), shutil.which("podman")
    if docker and _answers(docker):
        return Engine("docker", Path(docker), "its daemon is running")
    if podman:
        why = "docker has no running daemon" if docker else "docker is not installed"
        return Engine("podman", Path(podman), why)
    return None


def engine_environment() -> dict[str, str | None]:
    """Return the settings that kind and the engine need; None means: must not be set."""
    found = find_engine()
    if found is None or found.name == "docker":
        return {"KIND_EXPERIMENTAL_PROVIDER": None}
    settings: dict[str, str | None] = {"KIND_EXPERIMENTAL_PROVIDER": "podman"}
    if _needs_settings() and not os.environ.get("CONTAINERS_CONF"):
        settings["CONTAINERS_CONF"] = str(_write_settings())
    return settings


def prepare_host() -> None:
    """Make what kind mounts from the host and some kernels lack: the folder of kernel modules. Only root can."""
    modules = Path("/lib/modules", os.uname().release)
    if sys.platform == "linux" and os.geteuid() == 0:
        modules.mkdir(parents=True, exist_ok=True)


def _answers(docker: str) -> bool:
    try:
        done = subprocess.run(
            [docker, "version", "--format", "{{.Server.Version}}"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() != b""


def _needs_settings() -> bool:
    """Tell whether this is a root that may not raise limits, as in many virtual machines and containers."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return not int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1
    return False


def _write_settings() -> Path:
    # crun refuses the hybrid layout of cgroups, which old and small systems still have; runc takes both.
    runtime = "runc" if shutil.which("runc") else "crun"
    file = paths.state("containers.conf")
    text = _CONTAINERS_CONF.format(runtime=runtime)
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(text)
    return file
