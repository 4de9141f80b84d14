"""A Pulumi project in a folder, driven by the real engine."""

from __future__ import annotations

import ssl
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

__all__ = ["VENV", "MakeProject", "Project", "pypi_answers"]

VENV = Path(sys.executable).parents[1]


@dataclass
class Project:
    """One Pulumi project with a stack `t` on a backend of its own."""

    folder: Path
    env: dict[str, str]

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", *args, "--non-interactive"],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("up", "--yes", "--skip-preview", "--suppress-progress", "--color", "never", **env)

    def start_up(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--suppress-progress", "--non-interactive"],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def plugins(self) -> list[str]:
        """Command lines of the processes that serve this project."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                mine = f"PULUMI_BACKEND_URL={self.env['PULUMI_BACKEND_URL']}".encode()
                if entry.name.isdigit() and mine in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(b" ".join(words).decode())
            except OSError:
                continue
        return [line for line in found if line and "pulumi up" not in line]


MakeProject = Callable[..., Project]


def pypi_answers() -> bool:
    """Tell whether packages can be installed from PyPI."""
    try:
        return httpx.head("https://pypi.org/simple/six/", timeout=3, verify=ssl.create_default_context()).is_success
    except httpx.HTTPError:
        return False
