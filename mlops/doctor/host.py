"""The machine as the checks see it, so that tests can show them another one."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import psutil

__all__ = ["Host", "RealHost"]


class Host(Protocol):
    """Facts about a machine."""

    system: str
    """`linux` or `darwin`."""
    architecture: str
    python: tuple[int, int]
    is_root: bool

    def cpus(self) -> int:
        """Return the cores this process may use."""

    def memory(self) -> tuple[int, int]:
        """Return total and available bytes."""

    def disk_free(self, path: Path) -> int:
        """Return the free bytes of the file system a path is on, or would be."""

    def read(self, path: str) -> str | None:
        """Return a file's text, None when there is none or it may not be read."""

    def which(self, name: str) -> str | None:
        """Return the path of an executable."""

    def run(self, *command: str) -> tuple[int, str]:
        """Run a quick command; return its code (127 when there is none) and what it printed."""

    def port_holder(self, port: int) -> str | None:
        """Return who listens on a port of loopback, None when it is free."""


class RealHost:
    """The machine we run on."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self.system = sys.platform
        self.architecture = platform.machine()
        self.python = sys.version_info[:2]
        self.is_root = hasattr(os, "geteuid") and os.geteuid() == 0

    def cpus(self) -> int:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def memory(self) -> tuple[int, int]:
        found = psutil.virtual_memory()
        return int(found.total), int(found.available)

    def disk_free(self, path: Path) -> int:
        while not path.exists() and path != path.parent:
            path = path.parent
        return shutil.disk_usage(path).free

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return None

    def which(self, name: str) -> str | None:
        # sbin is not on the PATH of everybody, and what is there counts all the same.
        return shutil.which(name, path=f"{self._environment.get('PATH', os.defpath)}:/usr/sbin:/sbin")

    def run(self, *command: str) -> tuple[int, str]:
        try:
            done = subprocess.run(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return 127, str(error)
        return done.returncode, (done.stdout or done.stderr).strip()

    def port_holder(self, port: int) -> str | None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return self._listener(port)
        return None

    def _listener(self, port: int) -> str:
        try:
            for each in psutil.net_connections("tcp"):
                if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                    return f"{psutil.Process(each.pid).name()} (process {each.pid})"
        except psutil.Error:
            pass
        return "another program"
