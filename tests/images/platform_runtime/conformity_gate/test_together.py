"""The gate between a real auditor, a real MLflow registry and a real API server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from cabc.demo.environment import mlflow_server
from platform_runtime.conformity_gate.auditor import Auditor, Hook
from platform_runtime.conformity_gate.cluster import ChangedError, Cluster
from platform_runtime.conformity_gate.gate import Gate
from platform_runtime.conformity_gate.plan import Mode, Policy
from platform_runtime.conformity_gate.registry import Registry, RegistryError
from platform_runtime.conformity_gate.sides import Place
from platform_runtime.deployment import Version, inference_service, resolve

from components._core import paths
from tests.support import image_environment
from tests.support.apiserver import ApiServer, running_api_server
from tests.support.kubernetes_objects import crd
from tests.support.server import Backend, backend, serve, wait_for, write_home
from tests.support.service import token

pytestmark = [pytest.mark.backend, pytest.mark.apiserver]

MODEL = "slow-model"
ROOT = "s3://mlflow/artifacts"
PODS = "/api/v1/namespaces/models/pods"
KIND = "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices"

REGISTER = """
import sys
import mlflow
from platform_runtime.registration import seal

with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(
        name="model", python_model=lambda model_input: [0.5] * len(model_input), registered_model_name=sys.argv[1],
        input_example=["a"], pip_requirements=[],
    )
    seal(sys.argv[1], str(logged.registered_model_version), {"code.version": "c1"}, alias="champion")
print("version", logged.registered_model_version)
"""


IN_THE_IMAGE = """
import datetime as dt
import sys
import kubernetes
from platform_runtime.conformity_gate.cluster import ChangedError, Cluster
from platform_runtime.conformity_gate.decision import Cause, Decision
from platform_runtime.deployment import Version

cluster = Cluster(kubernetes.config.new_client_from_config(sys.argv[1]))
read = cluster.service("models", "pinned")
cluster.serve(read, Version("pinned", "2", "r2", "sha256:e", "s3://mlflow/artifacts/2"))
try:
    cluster.stop(read, "1")
except ChangedError as error:
    print(error)
decision = Decision("d1", "pinned", "enforce", "rollback", "1", "2", Cause("suspended", "a1", ""),
                    dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "models/pinned")
for _ in range(2):
    cluster.announce(read, decision)
cluster.stop(cluster.service("models", "pinned"), "2")
print(cluster.service("models", "pinned").served)
cluster.resume(cluster.service("models", "pinned"))
print(cluster.settled(read))
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    for server in running_api_server(tmp_path_factory, controllers=False):
        definition = crd("inferenceservices", "InferenceService", "serving.kserve.io")
        definition["spec"]["versions"][0]["name"] = "v1beta1"
        server.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        server.create("/api/v1/namespaces", {"metadata": {"name": "models"}})
        server.create("/api/v1/namespaces/models/serviceaccounts", {"metadata": {"name": "models"}})
        wait_for(partial(server.find, KIND), 30)
        yield server


def pod(name: str, service: str, version: str) -> dict[str, Any]:
    """Return a predictor's pod as far as it matters."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"serving.kserve.io/inferenceservice": service},
            "annotations": {"oss-mlops-platform/model-version": version},
        },
        "spec": {
            "containers": [{"name": "c", "image": "app:1"}],
            "terminationGracePeriodSeconds": 0,
            "serviceAccountName": "models",
            "automountServiceAccountToken": False,
        },
    }


@dataclass
class Platform:
    """What the gate works with, and what people do to it."""

    api: ApiServer
    mlflow: str
    quality: Backend
    home: Path
    open: ExitStack
    auditor: str = ""

    @cached_property
    def registry(self) -> Registry:
        """The registry as anybody sees it."""
        return self.open.enter_context(closing(Registry(self.mlflow)))

    def cluster(self) -> Cluster:
        """Return a connection to the cluster."""
        client = kubernetes.config.new_client_from_config_dict(self.api.kubeconfig())
        return self.open.enter_context(closing(Cluster(client)))

    def gate(self, mode: Mode = Mode.ENFORCE) -> Gate:
        """Return a gate as a new process has it."""
        auditor = Auditor(self.auditor, token("reader"), Hook(f"{self.auditor}/hooks/ci", "secret"))
        return Gate(
            auditor=self.open.enter_context(closing(auditor)),
            registry=self.registry,
            cluster=self.cluster(),
            place=Place("models", ROOT),
            policy=Policy(mode=mode),
        )

    def register(self) -> str:
        """Register a version as a pipeline does where the gate enforces."""
        done = subprocess.run(
            [str(image_environment.python()), "-W", "ignore", "-c", REGISTER, MODEL],
            env={
                **os.environ,
                "PYTHONPATH": str(paths.CHECKOUT / "images" / "python"),
                "MLFLOW_TRACKING_URI": self.mlflow,
                "CONFORMITY_GATE": "enforce",
                "GIT_PYTHON_REFRESH": "quiet",
            },
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        (version,) = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("version ")]
        return version

    def deploy(self, version: str) -> None:
        """Serve a version as the deploy step of a pipeline does, with a logger that is not the gate's business."""
        wanted = resolve(MODEL, version, self.registry, ROOT)
        manifest = inference_service(MODEL, "models", wanted, runtime="mlflow", account="models")
        manifest["spec"]["predictor"]["logger"] = {"mode": "all"}
        if self.api.find(f"{KIND}/{MODEL}") is None:
            self.api.create(KIND, manifest)
        else:
            self.api.patch(f"{KIND}/{MODEL}", manifest)
        self.settle()

    def settle(self) -> None:
        """Have the pods that KServe would have, and nothing of the version before."""
        self.api.delete(PODS + "/predictor")
        self.api.create(PODS, pod("predictor", MODEL, self.served))
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        self.api.patch(f"{PODS}/predictor/status", ready)

    @property
    def service(self) -> dict[str, Any]:
        """The InferenceService."""
        found: dict[str, Any] = self.api.get(f"{KIND}/{MODEL}")
        return found

    @property
    def served(self) -> str:
        """The version that is served."""
        return str(self.service["metadata"]["annotations"]["oss-mlops-platform/model-version"])

    @property
    def aliases(self) -> dict[str, str]:
        """The registry's aliases."""
        found = self.registry.model(MODEL)
        assert found
        return found.aliases

    def tags(self, version: str) -> dict[str, str]:
        """The registry's tags of a version."""
        return self.registry.get_model_version(MODEL, version).tags


@contextmanager
def running(folder: Path, api: ApiServer) -> Iterator[Platform]:
    """Run the auditor and the registry."""
    python = image_environment.python()
    with mlflow_server(folder / "mlflow", python) as registry, backend() as quality, ExitStack() as stack:
        home = folder / "home"
        write_home(home, quality, leaves=1, mlflow=registry.url)
        document = home / "slow.yaml"
        document.write_text(
            document.read_text().replace("alias: champion", f"alias: candidate, inferenceService: models/{MODEL}")
        )
        platform = Platform(api, registry.url, quality, home, stack)
        # Before the auditor looks for the first time, so that it finds a version.
        platform.register()
        with serve(home) as auditor:
            platform.auditor = auditor.url
            yield platform


def until(gate: Gate, condition: Any) -> None:
    """Let the gate look until something holds; a busy machine may keep an answer from it once or twice."""

    def looked() -> bool:
        return gate.poll() and bool(condition())

    wait_for(looked, 240, lambda: json.dumps(list(gate.models.values()), indent=1))


@pytest.mark.timeout(600)
def test_an_unfair_version_is_rolled_back_and_the_record_says_why(tmp_path: Path, api: ApiServer) -> None:
    with running(tmp_path, api) as platform:
        platform.deploy("1")
        assert platform.aliases == {"candidate": "1"}
        gate = platform.gate()
        until(gate, lambda: platform.aliases.get("champion") == "1")
        assert platform.tags("1")["conformity.status"] == "conformant"

        # In this order: the auditor may look while a version is registered, and version 1 is to stay good.
        second = platform.register()
        platform.quality.value = 0.1
        platform.deploy(second)
        assert platform.aliases == {"champion": "1", "candidate": second}
        before = platform.service
        until(gate, lambda: platform.served == "1")
        assert platform.aliases == {"champion": "1", "candidate": "1"}
        after = platform.service
        assert after["spec"]["predictor"].pop("model")["storageUri"] == resolve(MODEL, "1", platform.registry, ROOT).uri
        before["spec"]["predictor"].pop("model")
        assert after["spec"] == before["spec"]
        assert after["metadata"]["annotations"]["oss-mlops-platform/digest"] == platform.tags("1")["digest"]
        cause = json.loads(platform.tags(second)["conformity.cause"])
        assert (cause["status"], cause["requirements"]) == ("suspended", ["reliability/accuracy"])
        assert platform.tags(second)["conformity.rolled_back_to"] == "1"
        events = api.get("/api/v1/namespaces/models/events")["items"]
        (event,) = [each for each in events if each["reason"] == "ConformityRollback"]
        assert event["involvedObject"]["uid"] == after["metadata"]["uid"]
        assert event["message"].startswith(f"{MODEL} version {second} is rolled back to version 1: version {second} is")
        (decision,) = [each for each in gate.decisions(MODEL) if each.kind == "rollback"]
        assert decision.cause.assessment == cause["assessment"]

        # What is served now is looked at as well, by itself: version 1 passes.
        platform.quality.value = 0.9
        platform.settle()
        until(gate, lambda: gate.models["slow"]["audited"] == "1")
        made = [each.id for each in gate.decisions()]

        # A process that starts anew knows and does the same.
        again = platform.gate()
        wait_for(again.poll, 60)
        assert [each.id for each in again.decisions()] == made
        assert platform.served == "1"

        registry = platform.registry
        assert registry.model("nobody") is None
        registry.alias(MODEL, "nobody", None)
        with pytest.raises(RegistryError, match="model-versions/set-tag: HTTP 404"):
            registry.tag(MODEL, "99", "a", "b")

        api.stop_api_server()
        assert not again.poll()
        api.start_api_server()
        wait_for(again.poll, 60)
        assert [each.id for each in again.decisions()] == made


def test_what_somebody_deployed_meanwhile_is_not_overwritten(api: ApiServer) -> None:
    name = "other"
    version = Version("other", "1", "r1", "sha256:d", "s3://mlflow/artifacts/1")
    api.create(KIND, inference_service(name, "models", version, runtime="mlflow", account="models"))
    with closing(Cluster(kubernetes.config.new_client_from_config_dict(api.kubeconfig()))) as cluster:
        read = cluster.service("models", name)
        assert read
        api.patch(f"{KIND}/{name}", {"metadata": {"labels": {"touched": "yes"}}})
        with pytest.raises(ChangedError, match="InferenceService models/other changed meanwhile"):
            cluster.stop(read, "1")
        read = cluster.service("models", name)
        assert read
        cluster.stop(read, "1")
        stopped = cluster.service("models", name)
        assert stopped
        assert stopped.served
        assert stopped.served.stopped == "1"
        annotations = api.get(f"{KIND}/{name}")["metadata"]["annotations"]
        assert annotations["serving.kserve.io/stop"] == "true"
        # Another version than the one it was stopped for: it runs again.
        cluster.serve(stopped, replace(version, version="2", uri="s3://mlflow/artifacts/2"))
        found = api.get(f"{KIND}/{name}")
        assert found["spec"]["predictor"]["model"]["storageUri"] == "s3://mlflow/artifacts/2"
        assert not {"serving.kserve.io/stop", "oss-mlops-platform/stopped-version"} & set(
            found["metadata"]["annotations"]
        )
        assert cluster.service("models", "nobody") is None
        read = cluster.service("models", name)
        assert read
        assert not cluster.settled(read)
        for number, version_of_pod in enumerate(("2", "1")):
            api.create(PODS, pod(f"p{number}", name, version_of_pod))
            assert not cluster.settled(read)
            ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
            api.patch(f"{PODS}/p{number}/status", ready)
            assert cluster.settled(read) == (version_of_pod == "2")
        api.delete(f"{PODS}/p1")
        assert cluster.settled(read)
        api.delete(f"{KIND}/{name}")
        with pytest.raises(ChangedError):
            cluster.stop(stopped, "2")


def test_the_image_s_own_client_of_kubernetes_does_the_same(api: ApiServer) -> None:
    name = "pinned"
    version = Version(name, "1", "r1", "sha256:d", "s3://mlflow/artifacts/1")
    api.create(KIND, inference_service(name, "models", version, runtime="mlflow", account="models"))
    done = subprocess.run(
        [str(image_environment.python()), "-c", IN_THE_IMAGE, str(api.folder / "kubeconfig")],
        env={**os.environ, "PYTHONPATH": str(paths.CHECKOUT / "images" / "python")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [
        "InferenceService models/pinned changed meanwhile",
        "Served(version='2', stopped='2')",
        "False",
    ]
    found = api.get(f"{KIND}/{name}")
    assert found["spec"]["predictor"]["model"]["storageUri"] == "s3://mlflow/artifacts/2"
    assert found["spec"]["predictor"]["model"]["runtime"] == "mlflow"
    assert "serving.kserve.io/stop" not in found["metadata"]["annotations"]
    events = api.get("/api/v1/namespaces/models/events")["items"]
    assert [each["reason"] for each in events if each["involvedObject"]["name"] == name] == ["ConformityRollback"]
