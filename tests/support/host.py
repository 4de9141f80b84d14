"""A machine made up for a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["FakeHost"]

GIB = 1024**3

FILES = {
    "/proc/2/comm": "kthreadd\n",
    "/proc/cpuinfo": "flags : hypervisor",
    "/proc/sys/kernel/osrelease": "6.1.0\n",
    "/proc/sys/fs/inotify/max_user_instances": "512\n",
    "/proc/sys/fs/inotify/max_user_watches": "524288\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
}


@dataclass
class FakeHost:
    """A good one, unless told otherwise."""

    system: str = "linux"
    architecture: str = "x86_64"
    python: tuple[int, int] = (3, 12)
    is_root: bool = True
    cores: int = 4
    total: float = 16 * GIB
    free: float = 100 * GIB
    files: dict[str, str | None] = field(default_factory=dict)
    programs: frozenset[str] = frozenset({"apt-get", "runc", "podman"})
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    holders: dict[int, str] = field(default_factory=dict)

    def cpus(self) -> int:
        return self.cores

    def memory(self) -> tuple[int, int]:
        return int(self.total), int(self.total * 0.9)

    def disk_free(self, path: Path) -> int:
        assert path.is_absolute()
        return int(self.free)

    def read(self, path: str) -> str | None:
        return {**FILES, **self.files}.get(path)

    def which(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.programs else None

    def run(self, *command: str) -> tuple[int, str]:
        line = " ".join(command)
        return next((answer for start, answer in self.answers.items() if line.startswith(start)), (0, "5.0"))

    def port_holder(self, port: int) -> str | None:
        return self.holders.get(port)
