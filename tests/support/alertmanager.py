"""A real Alertmanager of the toolchain on loopback, and somebody it posts to."""

from __future__ import annotations

import datetime as dt
import json
import socket
import subprocess
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

__all__ = ["Alertmanager", "Delivery", "Webhooks", "hurried", "running_alertmanager", "until", "webhooks"]


@dataclass(frozen=True)
class Delivery:
    """One message that arrived."""

    path: str
    authorization: str | None
    body: dict[str, Any]

    @property
    def alerts(self) -> list[dict[str, str]]:
        """The labels of its alerts."""
        return [alert["labels"] for alert in self.body["alerts"]]


@dataclass
class Webhooks:
    """Takes what is posted to any path."""

    url: str
    deliveries: list[Delivery] = field(default_factory=list)

    def to(self, path: str) -> list[Delivery]:
        return [delivery for delivery in self.deliveries if delivery.path == path]

    def names(self, path: str) -> set[str]:
        """Return the names of all alerts that arrived at a path."""
        return {alert["alertname"] for delivery in self.to(path) for alert in delivery.alerts}


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    """Run the receiver on a free port."""
    found = Webhooks("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found.deliveries.append(Delivery(self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Alertmanager:
    """A running one."""

    url: str

    def post(self, *alerts: dict[str, str]) -> None:
        """Hand alerts over as Prometheus does; each is given as its labels."""
        now = dt.datetime.now(dt.UTC)
        times = {"startsAt": now.isoformat(), "endsAt": (now + dt.timedelta(hours=1)).isoformat()}
        answer = httpx.post(f"{self.url}/api/v2/alerts", json=[{"labels": labels, **times} for labels in alerts])
        answer.raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts").json()
        return found

    def receivers(self, alertname: str) -> set[str]:
        """Return who is to get an alert."""
        return {
            receiver["name"]
            for alert in self.alerts()
            if alert["labels"]["alertname"] == alertname
            for receiver in alert["receivers"]
        }


@contextmanager
def running_alertmanager(settings: str, folder: Path) -> Iterator[Alertmanager]:
    """Run it with this configuration until the block ends."""
    from mlops import toolchain

    program = toolchain.binary("alertmanager")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "alertmanager.yaml").write_text(settings)
    log = folder / "alertmanager.log"
    flags = [
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with log.open("wb") as stream:
        process = subprocess.Popen([program, *flags], stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        until(lambda: _ready(address, process, log), "Alertmanager is ready")
        yield Alertmanager(f"http://{address}")
    finally:
        process.kill()
        process.wait(10)


def _ready(address: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        pytest.fail(log.read_text()[-3000:])
    try:
        return httpx.get(f"http://{address}/-/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def hurried(settings: str) -> str:
    """Return a configuration that waits a second where it would wait for company or for people."""
    content = json.loads(settings)
    content["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    return json.dumps(content)


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Return what a condition gives once it is true; fail after a while."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return found
