"""A model server as it runs in its pod: every answer has names and an id, and the log is told of it before it stops."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from platform_runtime import identity

PREDICT = "/v1/models/ratio:predict"
INFER = "/v2/models/ratio/infer"
GOOD = {"instances": [{"a": 1, "b": 2}]}
IMPOSSIBLE = {"instances": [{"a": 1, "b": 0}]}


# Divides whole numbers, and fails as models do where it cannot.
RATIO = """
import mlflow


class Ratio(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return [int(row.a) // int(row.b) for row in model_input.itertuples()]


mlflow.models.set_model(Ratio())
"""


@dataclass
class Server:
    """The server's process, and what it has told the log."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path
    events: list[dict[str, Any]] = field(default_factory=list)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return httpx.post(self.url + path, json=body, headers=headers, timeout=60)

    def told(self, request_id: str) -> list[tuple[str, str, Any]]:
        """Return kind, status and body of the events with an id."""
        return [
            (
                event["type"].rpartition(".")[2],
                event.get("status", ""),
                json.loads(base64.b64decode(event["data_base64"])),
            )
            for event in self.events
            if event["id"] == request_id
        ]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def until(condition: Callable[[], object], output: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model"
    source = path.with_name("ratio.py")
    source.write_text(RATIO)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about type hints, its own too, and examples
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema

        signature = ModelSignature(inputs=Schema([ColSpec(DataType.long, "a"), ColSpec(DataType.long, "b")]))
        mlflow.pyfunc.save_model(path, python_model=source, signature=signature, pip_requirements=[])
    (path / "MLmodel").write_text((path / "MLmodel").read_text() + "run_id: r1\n")
    return path


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[Server]:
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.extend(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    log = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=log.serve_forever, args=(0.02,), daemon=True).start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    annotated = {"MODEL_NAME": "ratios", "MODEL_VERSION": "3", "MODEL_RUN_ID": "r1", "POD_NAMESPACE": "models"}
    arguments = ["--model_name=ratio", f"--model_dir={folder}", f"--http_port={port}"]
    output = tmp_path / "server.log"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "platform_runtime.serve", *arguments],
            env={**os.environ, **annotated, "PREDICTION_LOG_URL": f"http://127.0.0.1:{log.server_port}"},
            stdout=stream,
            stderr=stream,
        )
    found = Server(f"http://127.0.0.1:{port}", process, output, events)

    def ready() -> bool:
        assert process.poll() is None, output.read_text()
        try:
            return httpx.get(f"{found.url}/v2/health/ready").is_success
        except httpx.HTTPError:
            return False

    try:
        until(ready, output)
        yield found
    finally:
        process.kill()
        process.wait()
        log.shutdown()
        log.server_close()


def test_every_answer_is_named_and_told_before_the_server_stops(server: Server, folder: Path) -> None:
    answers = {
        "v1": server.post(PREDICT, GOOD, **{"Ce-Id": "v1"}),
        "refused": server.post(PREDICT, {"instances": [{"a": "x", "b": 1}]}, **{"Ce-Id": "refused"}),
        "failed": server.post(PREDICT, IMPOSSIBLE, **{"Ce-Id": "failed"}),
        "v2": server.post(
            INFER,
            {"inputs": [{"name": each, "shape": [1], "datatype": "INT64", "data": [4]} for each in ("a", "b")]},
            **{"X-Request-Id": "v2"},
        ),
        "nobody": server.post("/v1/models/other:predict", GOOD, **{"Ce-Id": "nobody"}),
    }
    metrics = httpx.get(f"{server.url}/metrics").text
    assert 'model_log_events_total{outcome="dropped"} 0.0' in metrics
    assert "model_log_waiting_bytes" in metrics
    server.stop()
    statuses = {"v1": 200, "refused": 400, "failed": 500, "v2": 200, "nobody": 404}
    assert {name: found.status_code for name, found in answers.items()} == statuses
    for name, found in answers.items():
        assert found.headers.get_list("x-request-id") == [name]
        assert (found.headers["x-model-version"], found.headers["x-model-run-id"]) == ("3", "r1")
        told = server.told(name)
        assert told[-1] == ("response", str(statuses[name]), found.json())
        assert len(told) == (1 if 400 <= statuses[name] < 500 else 2)
    assert server.told("failed")[0] == ("request", "", IMPOSSIBLE)
    assert answers["failed"].json()["error"].startswith("ZeroDivisionError: ")
    assert "Traceback" in server.output.read_text()
    said = {"model-name": "ratios", "model-version": "3", "run-id": "r1", "digest": identity.digest(folder)}
    annotations = {f"{identity.ANNOTATION}/{name}": value for name, value in said.items()}
    for event in server.events:
        assert (event["inferenceservicename"], event["namespace"]) == ("ratio", "models")
        assert json.loads(event["annotations"]) == annotations


def test_a_server_that_drains_has_told_the_log(server: Server) -> None:
    for number in range(20):
        server.post(PREDICT, GOOD, **{"Ce-Id": str(number)})
    httpx.get(f"{server.url}/drain", timeout=60).raise_for_status()
    assert len(server.events) == 40
    server.process.kill()


def test_no_collection_goes_through_what_was_loaded(folder: Path) -> None:
    """It would keep every answer waiting for as long as that takes."""
    program = (
        "import gc, sys\n"
        "from kserve import model_server\n"
        "from platform_runtime import serve\n"
        "model_server.ModelServer.start = lambda *_: print(gc.get_freeze_count(), len(gc.get_objects()))\n"
        "sys.exit(serve.main(sys.argv[1:]))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, "--model_name=ratio", f"--model_dir={folder}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    kept, looked_at = map(int, found.stdout.split()[-2:])
    assert kept > 100 * looked_at
