"""KServe's own logger before a model server: what it sends is what the log has."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops import toolchain
from tests.support.prediction_log import Collector, Database, answer, ask, free_port

pytestmark = pytest.mark.backend

ANNOTATIONS = (
    "oss-mlops-platform/model-name=loans,oss-mlops-platform/model-version=2,oss-mlops-platform/digest=sha256:d"
)


@pytest.fixture
def model() -> Iterator[int]:
    """A model server that answers a request as its path says; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self._send(500 if self.path == "/fail" else 200, answer())

        def _send(self, status: int, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running.server_port
    running.shutdown()
    running.server_close()


@pytest.fixture
def agent(collector: Collector, model: int, tmp_path: Path) -> Iterator[httpx.Client]:
    """KServe's agent as its webhook would start it, before the model server."""
    port = free_port()
    probe = {"tcpSocket": {"port": model, "host": "127.0.0.1"}, "successThreshold": 1}
    arguments = {
        "log-url": collector.url,
        "source-uri": "loan-predictor-5d8",
        "log-mode": "all",
        "inference-service": "loan",
        "namespace": "models",
        "endpoint": "",
        "component": "predictor",
        "metadata-annotations": ANNOTATIONS,
        "component-port": str(model),
        "port": str(port),
    }
    with (tmp_path / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [
                toolchain.binary("kserve-agent"),
                *(part for name, value in arguments.items() for part in (f"--{name}", value)),
            ],
            env={"PATH": os.environ["PATH"], "SERVING_READINESS_PROBE": json.dumps(probe)},
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 30
            while True:
                try:
                    client.get("/v1/models/loan")
                except httpx.HTTPError:
                    assert process.poll() is None, (tmp_path / "agent.log").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                else:
                    break
            yield client
    finally:
        process.kill()
        process.wait()


def test_what_passes_through_the_logger_is_in_the_log(
    collector: Collector, agent: httpx.Client, database: Database
) -> None:
    collector.start()
    # Who looks whether it is there passes the logger too.
    agent.get("/v1/models/loan")
    predict = "/v1/models/loan:predict"
    for name, path in (("mine", predict), ("failing", "/fail")):
        agent.post(path, json=ask(rows=2), headers={"Ce-Id": name})
    agent.post(predict, json=ask())
    deadline = time.monotonic() + 60
    # An answer may overtake its question, and is a dead letter until that comes.
    while sum(counted(collector, outcome) for outcome in ("stored", "ignored", "dead")) < 7:
        assert time.monotonic() < deadline
    assert database.query("SELECT count(*) FROM dead_letters") == [(0,)]
    found = {
        request_id: rest
        for request_id, *rest in database.query(
            "SELECT request_id, service, namespace, model, version, digest, status, latency_ms > 0 FROM requests"
            " WHERE request_event IS NOT NULL"
        )
    }
    assert found.pop("mine") == ["loan", "models", "loan", "3", "sha256:d", 200, True]
    # The logger says nothing of an answer that is no success; who was asked is known by the annotations.
    assert found.pop("failing") == ["loan", "models", "loans", "2", "sha256:d", None, None]
    ((invented, rest),) = found.items()
    assert len(invented) == 36
    assert rest == ["loan", "models", "loan", "3", "sha256:d", 200, True]


def counted(collector: Collector, outcome: str) -> float:
    both = ("request", "response")
    return sum(collector.metric("prediction_log_events_total", kind=kind, outcome=outcome) for kind in both)


def test_a_collector_that_is_not_there_does_not_slow_the_model(agent: httpx.Client) -> None:
    answers = [agent.post("/v1/models/loan:predict", json=ask()) for _ in range(300)]
    assert {found.status_code for found in answers} == {200}
