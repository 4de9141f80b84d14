"""A version is deployed when nothing else answers: what an InferenceService says of itself does not count."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from platform_runtime.deployment import DeploymentError, Version, deploy, inference_service, pod_trouble, resolve
from platform_runtime.traffic import PROBE, Traffic, ask

from components.kserve import runtime

ROWS = [{"a": 1.0}]


@dataclass
class Server:
    """A model server that answers as the version it is told to be; `None` refuses."""

    version: str | None = "1"
    url: str = ""
    requests: int = 0
    ids: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            state.requests += 1
            state.ids.append(self.headers["ce-id"])
            body = json.dumps({"predictions": [1]}).encode()
            self.send_response(200 if state.version else 503)
            self.send_header("content-length", str(len(body)))
            self.send_header("x-model-version", state.version or "")
            self.send_header("x-model-run-id", f"run-{state.version}")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    state.url = f"127.0.0.1:{running.server_port}"
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    running.shutdown()
    running.server_close()


@dataclass
class FakeCluster:
    """Changes what the server is a few looks after an InferenceService was written."""

    server: Server
    exists: bool = False
    becomes: str | None = "2"
    after: int = 3
    written: list[Mapping[str, Any]] = field(default_factory=list)
    _looks: Iterator[int] = field(default_factory=itertools.count)

    def get(self, _namespace: str, _name: str) -> dict[str, Any] | None:
        return {} if self.exists else None

    def create(self, _namespace: str, manifest: Mapping[str, Any]) -> None:
        self.written.append(manifest)
        self.server.version = self.becomes

    def patch(self, _namespace: str, _name: str, manifest: Mapping[str, Any]) -> None:
        self.written.append(manifest)
        threading.Timer(0.3, lambda: setattr(self.server, "version", self.becomes)).start()

    def pods(self, _namespace: str, name: str) -> list[dict[str, Any]]:
        version = self.becomes if next(self._looks) >= self.after else "1"
        return [
            {"metadata": {"name": name, "annotations": {"oss-mlops-platform/model-version": version}}, "status": {}}
        ]

    def warnings(self, _namespace: str, _name: str) -> list[str]:
        return ["older", "the webhook refused the pod"]


class FakeRegistry:
    """Knows one version."""

    def get_model_version(self, _name: str, version: str) -> Any:
        return SimpleNamespace(run_id=f"run-{version}", tags={"digest": "sha256:d"})

    def get_model_version_download_uri(self, _name: str, _version: str) -> str:
        return "mlflow-artifacts:/1/models/m-1/artifacts"


def hurried(seconds: float) -> None:
    """Wait a tenth of the time."""
    time.sleep(seconds / 10)


def put(server: Server, cluster: FakeCluster, **others: Any) -> Any:
    environment = {
        "SERVING_NAMESPACE": "models",
        "SERVING_RUNTIME": "mlflow",
        "SERVING_SERVICE_ACCOUNT": "models",
        "REGISTRY_ARTEFACT_ROOT": "s3://bucket/artifacts",
        "SERVING_HOST": server.url,
    }
    limits = {"timeout": 20, "sleep": hurried, **others}
    return deploy("loan", "2", ROWS, cluster=cluster, client=FakeRegistry(), environment=environment, **limits)


def test_first_version_is_created_and_nothing_measured(server: Server) -> None:
    cluster = FakeCluster(server)
    done = put(server, cluster)
    assert done.first
    assert done.traffic is None
    manifest = cluster.written[0]
    assert manifest["spec"]["predictor"]["model"]["storageUri"] == "s3://bucket/artifacts/1/models/m-1/artifacts"
    assert manifest["metadata"]["annotations"]["oss-mlops-platform/model-version"] == "2"
    assert manifest["metadata"]["annotations"]["oss-mlops-platform/run-id"] == "run-2"


def test_a_model_is_logged_where_there_is_a_log() -> None:
    version = Version(name="loan", version="3", run_id="r1", digest="sha256:d", uri="s3://bucket/m")

    def annotations(**others: str) -> Mapping[str, str]:
        manifest = inference_service("loan", "models", version, runtime="mlflow", account="models", **others)
        # Nothing stands before the model server, and nothing waits longer than it does when a version changes.
        assert not {"logger", "terminationGracePeriodSeconds"} & manifest["spec"]["predictor"].keys()
        found: Mapping[str, str] = manifest["metadata"]["annotations"]
        return found

    logged, plain = annotations(log_url="http://log:8080"), annotations()
    assert dict(logged.items() - plain.items()) == {"oss-mlops-platform/prediction-log": "http://log:8080"}
    # Each of them is a variable of the model server.
    assert set(runtime.ANNOTATIONS.values()) <= logged.keys()


def test_a_rollout_is_watched_from_the_old_to_the_new_version(server: Server) -> None:
    done = put(server, FakeCluster(server, exists=True))
    assert not done.first
    assert done.traffic.sequence == ["1", "2"]
    assert done.traffic.failures == []
    assert sum(done.traffic.by_version.values()) == done.traffic.requests
    # They are logged, each once, and nobody takes them for a case.
    assert all(found.startswith(PROBE) for found in server.ids)
    assert len(set(server.ids)) == server.requests


def test_requests_that_fail_are_counted(server: Server) -> None:
    traffic = Traffic(f"http://{server.url}/", {"instances": ROWS}, interval=0.01)
    server.version = None
    traffic.start()
    while server.requests < 4:
        pass
    report = traffic.stop()
    assert len(report.failures) == report.requests
    assert "HTTP 503" in report.failures[0]


def test_a_version_that_never_answers_is_told_with_the_last_warning(server: Server) -> None:
    cluster = FakeCluster(server, exists=True, becomes="1")
    with pytest.raises(DeploymentError) as caught:
        put(server, cluster, timeout=1, sleep=lambda _seconds: None)
    assert str(caught.value) == (
        "InferenceService models/loan answers version 1 of run run-1, expected version 2: the webhook refused the pod"
    )


def test_nobody_there_is_a_failure_and_no_exception() -> None:
    answer = ask("http://127.0.0.1:9/", {})
    assert answer.failure
    assert "ConnectError" in answer.failure


def test_artefacts_that_are_not_in_the_store_are_refused() -> None:
    class Elsewhere(FakeRegistry):
        def get_model_version_download_uri(self, _name: str, _version: str) -> str:
            return "/mlruns/1"

    with pytest.raises(DeploymentError, match="artefacts are at /mlruns/1, wanted s3://"):
        resolve("loan", "2", Elsewhere(), "s3://bucket")


def test_trouble_of_a_pod_is_the_first_container_that_cannot_go_on() -> None:
    waiting = {"reason": "CrashLoopBackOff"}
    ended = {"reason": "Error", "message": "s3://a: there are no objects\n"}
    status = {
        "initContainerStatuses": [
            {"name": "storage-initializer", "state": {"terminated": ended}, "lastState": {"waiting": waiting}}
        ]
    }
    pod = {"metadata": {"name": "p"}, "status": status}
    assert pod_trouble(pod) == "pod p: storage-initializer: Error (s3://a: there are no objects)"
