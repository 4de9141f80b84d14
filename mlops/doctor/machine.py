"""The machine: system, cores, memory, disk, limits."""

from __future__ import annotations

from pathlib import Path

from components._core import paths
from mlops.doctor.checks import Check, failed, good, warning
from mlops.doctor.host import Host

__all__ = ["PORTS", "examine"]

SECTION = "machine"

GIB = 1024**3

PORTS = {"mlflow": 5000, "prometheus": 9090, "alertmanager": 9093}
"""Local ports that `mlops status` proposes for opening a component."""

_OLDEST_PYTHON, _TOO_NEW_PYTHON = (3, 11), (3, 14)
_FEW_CORES = 2
_LITTLE_MEMORY, _TOO_LITTLE_MEMORY = 7 * GIB, 3.5 * GIB
_LITTLE_DISK, _TOO_LITTLE_DISK = 25 * GIB, 4 * GIB
_LITTLE_STATE = GIB // 2
_FEW_INSTANCES, _FEW_WATCHES = 128, 8192


def examine(host: Host) -> list[Check]:
    """Return what the machine is and has."""
    return [
        _system(host),
        _virtualization(host),
        _python(host),
        _cores(host),
        _memory(host),
        *_disk(host),
        *_inotify(host),
        *_modules(host),
        *_ports(host),
    ]


def _system(host: Host) -> Check:
    found = f"{host.system} {host.architecture}"
    if host.system not in {"linux", "darwin"} or host.architecture not in {"x86_64", "amd64", "arm64", "aarch64"}:
        return failed(SECTION, "system", found, "use Linux or macOS on x86-64 or arm64; on Windows use WSL 2")
    release = host.read("/proc/sys/kernel/osrelease")
    return good(SECTION, "system", f"{found}{f', kernel {release.strip()}' if release else ''}")


def _virtualization(host: Host) -> Check:
    if host.system != "linux":
        return good(SECTION, "virtualization", "containers run in the engine's own virtual machine")
    # Kernel threads are seen from outside of any container alone; files such as /.dockerenv outlive a move.
    if (host.read("/proc/2/comm") or "").strip() != "kthreadd":
        inside = host.read("/run/systemd/container") or "of some kind"
        fix = "run on the host, or start this container with --privileged"
        return warning(SECTION, "virtualization", f"inside a container ({inside.strip()})", fix)
    virtual = "hypervisor" in (host.read("/proc/cpuinfo") or "")
    return good(SECTION, "virtualization", "virtual machine" if virtual else "bare metal")


def _python(host: Host) -> Check:
    found = ".".join(map(str, host.python))
    if not _OLDEST_PYTHON <= host.python < _TOO_NEW_PYTHON:
        return failed(SECTION, "python", found, "use Python 3.11, 3.12 or 3.13: scripts/install makes the environment")
    return good(SECTION, "python", found)


def _cores(host: Host) -> Check:
    cores = host.cpus()
    if cores < _FEW_CORES:
        return warning(SECTION, "cpu", "1 core", "give the machine 2 cores; with one everything takes twice as long")
    return good(SECTION, "cpu", f"{cores} cores")


def _memory(host: Host) -> Check:
    total, available = host.memory()
    found = f"{total / GIB:.1f} GiB, {available / GIB:.1f} free"
    if total < _TOO_LITTLE_MEMORY:
        return failed(SECTION, "memory", found, "give the machine 8 GiB; the platform alone needs 3")
    if min(total, available + 3 * GIB) < _LITTLE_MEMORY:
        return warning(SECTION, "memory", found, "close what uses memory, or give the machine 8 GiB")
    return good(SECTION, "memory", found)


def _disk(host: Host) -> list[Check]:
    found = []
    cache, state = paths.cache(), paths.state()
    free = host.disk_free(cache)
    text = f"{free / GIB:.0f} GiB free at {cache}"
    if free < _TOO_LITTLE_DISK:
        found.append(
            failed(SECTION, "disk for tools and images", text, "free 25 GiB, or set MLOPS_CACHE to another disk")
        )
    elif free < _LITTLE_DISK:
        fix = "free 25 GiB, or set MLOPS_CACHE to another disk, if tools are to be built from source"
        found.append(warning(SECTION, "disk for tools and images", text, fix))
    else:
        found.append(good(SECTION, "disk for tools and images", text))
    free = host.disk_free(state)
    text = f"{free / GIB:.0f} GiB free at {state}"
    if free < _LITTLE_STATE:
        found.append(failed(SECTION, "disk for state", text, "free 1 GiB, or set MLOPS_STATE to another disk"))
    else:
        found.append(good(SECTION, "disk for state", text))
    return found


def _inotify(host: Host) -> list[Check]:
    if host.system != "linux":
        return []
    found = []
    for name, few, plenty in (
        ("max_user_instances", _FEW_INSTANCES, 512),
        ("max_user_watches", _FEW_WATCHES, 524288),
    ):
        text = (host.read(f"/proc/sys/fs/inotify/{name}") or "").strip()
        if not text.isdigit():
            continue
        if int(text) < few:
            sudo = "" if host.is_root else "sudo "
            found.append(warning(SECTION, f"inotify {name}", text, f"{sudo}sysctl fs.inotify.{name}={plenty}"))
        else:
            found.append(good(SECTION, f"inotify {name}", text))
    return found


def _modules(host: Host) -> list[Check]:
    release = (host.read("/proc/sys/kernel/osrelease") or "").strip()
    if host.system != "linux" or not release or host.is_root or Path("/lib/modules", release).exists():
        return []
    folder = f"/lib/modules/{release}"
    return [failed(SECTION, "kernel modules", f"{folder} is missing, and kind mounts it", f"sudo mkdir -p {folder}")]


def _ports(host: Host) -> list[Check]:
    taken = {port: holder for port in PORTS.values() if (holder := host.port_holder(port))}
    if not taken:
        return [good(SECTION, "ports", f"{', '.join(map(str, PORTS.values()))} are free")]
    text = ", ".join(f"{port} is taken by {holder}" for port, holder in taken.items())
    return [warning(SECTION, "ports", text, "nothing to do: `mlops status` proposes other ports")]
