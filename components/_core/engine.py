"""The container engine that holds kind nodes and builds images: podman or docker, through its command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

__all__ = ["Engine", "EngineError", "find"]

KIND_PROVIDER = "KIND_EXPERIMENTAL_PROVIDER"
"""The variable by which kind itself is told which engine to use."""

CHOICE = "MLOPS_ENGINE"
"""The variable by which people choose."""


class EngineError(Exception):
    """A command of the container engine failed. The text holds the command and the end of what it said."""


@dataclass(frozen=True)
class Engine:
    """One container engine."""

    name: str
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(
        self,
        *arguments: str,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        timeout: float = 120,
        check: bool = True,
    ) -> str:
        """Run one command and return what it printed. Raises EngineError."""
        command = [self.name, *arguments]
        try:
            done = subprocess.run(
                command, stdin=stdin, capture_output=True, timeout=timeout, check=False, env=dict(self.environment)
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(_failure(command, f"no answer within {timeout:.0f} s")) from error
        except OSError as error:
            raise EngineError(_failure(command, str(error))) from error
        if check and done.returncode:
            raise EngineError(_failure(command, (done.stderr or done.stdout).decode(errors="replace")))
        return done.stdout.decode(errors="replace")

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what the engine knows of a container, image, volume or network; None when there is none."""
        try:
            found = json.loads(self.run(kind, "inspect", name))
        except EngineError as error:
            if _is_missing(str(error)):
                return None
            raise
        return found[0] if found else None


def find(environment: Mapping[str, str] | None = None) -> Engine | None:
    """Return the engine in use: what kind or we were told to use, else docker, else podman, whichever is installed."""
    environment = os.environ if environment is None else environment
    path = environment.get("PATH")
    told = (environment.get(KIND_PROVIDER) or environment.get(CHOICE) or "").strip()
    for name in (told,) if told else ("docker", "podman"):
        if shutil.which(name, path=path):
            return Engine(name, dict(environment))
    return None


def _is_missing(text: str) -> bool:
    lowered = text.lower()
    return any(words in lowered for words in ("no such", "not found", "unable to find", "image not known"))


def _failure(command: Sequence[str], output: str) -> str:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    return f"`{' '.join(command)}` failed: {' / '.join(lines[-3:]) or 'without a word'}"
