"""uv, which makes Python environments: the project's own, or the one on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from components._core import paths
from mlops.errors import OperationError

__all__ = ["SETTINGS", "find", "run"]

SETTINGS = {"UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never"}
"""Trust what the machine trusts, and use the Python that is there: others come from sites that may be out of reach."""


def find() -> Path:
    """Return the uv command. Raises OperationError when there is none."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        msg = "uv is neither in the project's environment nor on PATH"
        raise OperationError(msg, fix="scripts/install")
    return Path(found)


def run(*args: str, doing: str) -> str:
    """Run uv and return what it printed. `doing` says what failed, if it fails."""
    # An activated environment of somebody else must not be taken for the one that is meant.
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")}
    env = {**SETTINGS, **env}
    # Nor the project's own [tool.uv], which uv reads from where it is started.
    folder = paths.cache()
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(find()), *args],
        env=env, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()][-5:]
        msg = f"{doing}:\n    " + "\n    ".join(lines)
        raise OperationError(msg, fix=_fix(done.stderr))
    return done.stdout


def _fix(text: str) -> str:
    lowered = text.lower()
    if "hash mismatch" in lowered:
        return "the package index serves something else than what is pinned: check UV_INDEX_URL and the network"
    if "no space left" in lowered:
        return "free some space, or set MLOPS_CACHE to another disk"
    if "certificate" in lowered:
        return "set SSL_CERT_FILE to your certificates, or UV_SYSTEM_CERTS=true"
    return "check the network, HTTPS_PROXY and UV_INDEX_URL, then run again"
