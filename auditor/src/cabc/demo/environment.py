"""The audited side's own environment: MLflow, scikit-learn and fairlearn, at locked versions, made once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import platformdirs

from cabc.errors import CabcError

__all__ = ["MlflowServer", "environment", "mlflow_server"]

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def environment(say: Callable[[str], None] = lambda _: None) -> Path:
    """Return the Python of the audited side, making its environment at first use (about a minute, 600 MB)."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = platformdirs.user_cache_path("cabc") / f"demo-{key}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "complete"
    if not done.exists():
        say("installing MLflow, scikit-learn and fairlearn into an environment of their own (once)")
        shutil.rmtree(folder, ignore_errors=True)
        uv = os.environ.get("UV") or shutil.which("uv")
        commands = (
            [
                [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
                [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(python), "-r", str(REQUIREMENTS)],
            ]
            if uv
            else [
                [sys.executable, "-m", "venv", str(folder)],
                [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)],
            ]
        )
        for command in commands:
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                reason = (ran.stderr.strip() or ran.stdout.strip()).splitlines()[-1:]
                message = f"the demo's environment could not be made: {' '.join(reason) or ran.returncode}"
                raise CabcError(message, fix="it needs a Python package index, and Python's venv module or uv")
        done.touch()
    return python


@dataclass(frozen=True)
class MlflowServer:
    """A running MLflow server on loopback."""

    url: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def mlflow_server(folder: Path, python: Path, *, seconds: float = 90.0) -> Iterator[MlflowServer]:
    """Run a real MLflow server with its database and artifacts in a folder; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder.resolve() / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder.resolve() / "artifacts")]
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"}
    log = folder / "mlflow.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log, seconds)
        yield MlflowServer(url, process)
    finally:
        _end(process)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Wait until the server answers."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success:
                return
        if process.poll() is not None or time.monotonic() > end:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            how = (
                f"ended with {process.returncode}" if process.poll() is not None else f"is silent after {seconds:.0f} s"
            )
            message = f"the demo's MLflow server {how}: {' '.join(last)}"
            raise CabcError(message, fix=f"read {log}")
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which share its process group."""
    import signal

    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
            return
