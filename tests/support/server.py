"""`cabc serve` as a process, and a slow backend that it measures."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service import sha256, token


@dataclass
class Backend:
    """An HTTP service that answers `{"value": …}`, after a while."""

    value: float = 0.9
    seconds: float = 0.0
    asked: int = 0
    url: str = ""
    entered: threading.Event = field(default_factory=threading.Event)


@contextmanager
def backend() -> Iterator[Backend]:
    """Run the backend on a free port."""
    state = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            state.entered.set()
            time.sleep(state.seconds)
            body = json.dumps({"value": state.value}).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # whoever asked was killed

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


DOCUMENT = """\
conformitySpecification:
  id: slow-spec
  version: 1
  mode: self-assessment
  parties: [{id: shop, role: auditee}]
  subject: {name: slow}
  dimensions:
    - id: reliability
      requirements:
        - id: accuracy
          severity: critical
          frequency: on-event
          metrics:
            - id: auc
              measurements:
"""
LEAF = (
    "                - {{id: m{0}, interface: {{kind: rest, connection: backend, path: /m{0}, pointer: /value}},"
    " dataType: numeric, comparison: GreaterThanOrEqual, target: 0.8, timeout: PT20S}}\n"
)


def write_home(
    folder: Path, backend: Backend, *, leaves: int = 4, database: str | None = None, mlflow: str | None = None
) -> None:
    """Write settings, connections and one document of a slow subject; with an address of MLflow, of a model there."""
    folder.mkdir(parents=True, exist_ok=True)
    text = DOCUMENT + "".join(LEAF.format(number) for number in range(leaves))
    connections = {"backend": {"kind": "rest", "url": backend.url, "network": "loopback"}}
    if mlflow is not None:
        text = text.replace(
            "{name: slow}", "{name: slow, connection: mlflow, registeredModel: slow-model, alias: champion}"
        )
        connections["mlflow"] = {"kind": "mlflow", "url": mlflow, "network": "loopback"}
    (folder / "slow.yaml").write_text(text)
    (folder / "connections.yaml").write_text(json.dumps({"connections": connections}))
    roles = ("auditee", "auditing-party", "publisher", "reader")
    settings: dict[str, Any] = {
        "documents": ["slow.yaml"],
        "service": {
            "poll": "PT1S",
            "tokens": [{"name": role, "sha256": sha256(token(role)), "roles": [role]} for role in roles],
            "webhooks": {
                "ci": {"secret": "env:CABC_TEST_HOOK"},
                "registry": {"format": "mlflow", "secret": "env:CABC_TEST_HOOK"},
            },
        },
    }
    if database:
        settings["database"] = database
    (folder / "cabc.yaml").write_text(json.dumps(settings))


@dataclass
class Server:
    """A running `cabc serve`."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def client(self, role: str = "auditing-party") -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token(role)}"}, timeout=30)

    def stop(self, sign: signal.Signals = signal.SIGTERM, timeout: float = 40) -> int:
        """End it and return how it ended."""
        self.process.send_signal(sign)
        return self.process.wait(timeout)

    def lines(self) -> list[dict[str, Any]]:
        """Return its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def serve(folder: Path, role: str = "all", **environment: str) -> Iterator[Server]:
    """Run the server until the block ends; it is ready when the block begins."""
    log = folder / f"serve-{role}-{time.time_ns()}.log"
    command = [sys.executable, "-c", "from cabc.cli import main; main()"]
    command += ["serve", "--home", str(folder), "--role", role, "--port", "0"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env={**os.environ, "CABC_TEST_HOOK": "secret", **environment}
        )
    server = Server(process, "", log)
    try:
        wait_for(lambda: _ready(server), 90, lambda: log.read_text()[-3000:])
        yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def _ready(server: Server) -> bool:
    if server.process.poll() is not None:
        pytest.fail(server.log.read_text()[-3000:])
    # The system chose the port, so that nobody else can have taken it.
    told = re.search(r"Uvicorn running on (http://[0-9.:]+)", server.log.read_text())
    if told is None:
        return False
    server.url = told[1]
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float, why: Callable[[], str] = lambda: "") -> Any:
    """Return what a condition gives once it gives something true; AssertionError after a while."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s\n{why()}")
        time.sleep(0.05)
    return found


def metric(text: str, name: str, **labels: str) -> float | None:
    """Return a sample of Prometheus' text format."""
    for line in text.splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and all(f'{key}="{value}"' for key, value in labels.items()):
            wanted = all(f'{key}="{value}"' in line for key, value in labels.items())
            if wanted and (found := re.search(r" (\S+)$", line)):
                return float(found[1])
    return None
