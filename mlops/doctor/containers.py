"""The container engine, and the control groups it needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlops.doctor.checks import Check, failed, good, warning
from mlops.doctor.host import Host
from mlops.errors import MlopsError

__all__ = ["Engine", "examine"]

SECTION = "containers"

GIB = 1024**3
_LITTLE_DISK, _TOO_LITTLE_DISK = 12 * GIB, 4 * GIB

Engine = tuple[str, str]
"""Name of the container engine and why it was chosen."""


def examine(host: Host, find: Callable[[], Engine | None] | None = None) -> list[Check]:
    """Return what runs containers here and whether it can run a cluster's node."""
    problem = None
    try:
        engine = (find or _find)()
    except MlopsError as error:
        engine, problem = None, error.message
    if engine is None:
        if _can_install(host) and not problem:
            return [warning(SECTION, "engine", "none yet", "nothing to do: `mlops up` installs podman")]
        fix = "start docker, or install podman (on Debian or Ubuntu: apt-get install podman)"
        return [failed(SECTION, "engine", problem or "neither a running docker nor podman", fix)]
    name, reason = engine
    return [_answers(host, name, reason), *_cgroups(host, name), *_storage(host, name)]


def _find() -> Engine | None:
    from mlops import toolchain

    found = toolchain.find_engine()
    return (found.name, found.reason) if found else None


def _can_install(host: Host) -> bool:
    return host.system == "linux" and host.is_root and host.which("apt-get") is not None


def _answers(host: Host, name: str, reason: str) -> Check:
    wanted = "{{.Server.Version}}" if name == "docker" else "{{.Version.Version}}"
    command = ("docker", "version") if name == "docker" else ("podman", "info")
    code, output = host.run(*command, "--format", wanted)
    if code:
        last = output.splitlines()[-1] if output else "no answer"
        fix = "start docker" if name == "docker" else "run `podman info` and put right what it says"
        return failed(SECTION, "engine", f"{name} does not work: {last}", fix)
    rootless = "" if host.is_root or host.system != "linux" else ", rootless"
    return good(SECTION, "engine", f"{name} {output.splitlines()[-1]}{rootless}: {reason}")


def _cgroups(host: Host, engine: str) -> list[Check]:
    if host.system != "linux":
        return []
    controllers = host.read("/sys/fs/cgroup/cgroup.controllers")
    return [_second_version(controllers) if controllers is not None else _first_version(host, engine)]


def _second_version(controllers: str) -> Check:
    lacking = {"cpu", "memory", "pids"} - set(controllers.split())
    if lacking:
        fix = "delegate them to this user: systemd's Delegate=yes in user@.service.d"
        return failed(SECTION, "cgroups", f"version 2 without {', '.join(sorted(lacking))}", fix)
    return good(SECTION, "cgroups", "version 2")


def _first_version(host: Host, engine: str) -> Check:
    if engine != "podman":
        return good(SECTION, "cgroups", "version 1")
    if not host.is_root:
        return failed(
            SECTION, "cgroups", "version 1, for which podman must be root", "run as root, or boot with cgroup 2"
        )
    if host.which("runc"):
        return good(SECTION, "cgroups", "version 1, by runc")
    if _can_install(host):
        return warning(SECTION, "cgroups", "version 1, without runc yet", "nothing to do: `mlops up` installs runc")
    return failed(SECTION, "cgroups", "version 1, which only runc takes", "install runc")


def _storage(host: Host, name: str) -> list[Check]:
    wanted = "{{.DockerRootDir}}" if name == "docker" else "{{.Store.GraphRoot}}"
    code, root = host.run(name, "info", "--format", wanted)
    if code or not root.startswith("/") or (name == "docker" and host.system != "linux"):
        return []
    free = host.disk_free(Path(root))
    text = f"{free / GIB:.0f} GiB free at {root}"
    fix = f"free 12 GiB; `{name} system prune` removes what is not used"
    if free < _TOO_LITTLE_DISK:
        return [failed(SECTION, "disk for containers", text, fix)]
    if free < _LITTLE_DISK:
        return [warning(SECTION, "disk for containers", text, fix)]
    return [good(SECTION, "disk for containers", text)]
