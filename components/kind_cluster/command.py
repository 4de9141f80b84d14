"""Run the kind command line, and tell why it failed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from components._core import engine as engines
from components._core.engine import Engine

__all__ = ["reason", "run"]


def run(
    command: list[str], engine: Engine, seconds: float, started: Callable[[int], None] = lambda _process: None
) -> tuple[int, str]:
    """Run kind; return its exit code and all it said."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**engine.environment, engines.KIND_PROVIDER: engine.name},
    )
    started(process.pid)
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        return 124, f"{said}\nno end after {seconds:.0f} s"
    return process.returncode, said


_KNOWN = (
    ("address already in use", "a port it needs is taken; fix: see which with `ss -ltnp`"),
    ("port is already allocated", "a port it needs is taken; fix: see which with `ss -ltnp`"),
    ("no space left on device", "the disk is full; fix: free space, for example with `mlops images prune`"),
    ("cannot connect to the docker daemon", "the docker daemon does not run; fix: start it, or use podman"),
    ("failed to pull image", "the node image cannot be pulled; fix: mlops doctor shows which registries answer"),
    ("too many open files", "inotify limits are too low; fix: sysctl -w fs.inotify.max_user_instances=512"),
)


def reason(text: str) -> str:
    """Return why kind failed: a known cause with its fix, and kind's own last words."""
    lowered = text.lower()
    known = next((f"{cause} -- " for words, cause in _KNOWN if words in lowered), "")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("•", "✓"))]
    return known + " / ".join(lines[-4:])
