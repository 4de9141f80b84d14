"""A prediction whose every hop is there: the registry is a real MLflow where a test asks for it, else its answers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc.demo import environment
from cabc_platform.trace.collected import Collected
from cabc_platform.trace.collecting import collect

from components._core import paths
from tests.support import image_environment
from tests.support.http_backend import HttpBackend, Reply, Request
from tests.support.trace import MODEL, REQUEST, Past, log_server, prediction, sources

# The digests of the log are compared with the collector's own, which is not a package of the project.
sys.path.insert(0, str(paths.CHECKOUT / "images" / "python"))

REGISTER = """
import json, sys
import mlflow, numpy, pandas
from sklearn.linear_model import LogisticRegression
from platform_runtime.registration import seal

rows = pandas.DataFrame({"income": [1.0, 2.0, 3.0, 4.0], "loan": [4.0, 3.0, 2.0, 1.0]})
with mlflow.start_run() as run:
    mlflow.log_params({"seed": 7})
    mlflow.log_metrics({"auc": 0.81})
    mlflow.log_input(mlflow.data.from_pandas(rows, name="rows"), context="training")
    logged = mlflow.sklearn.log_model(
        LogisticRegression().fit(rows, [0, 0, 1, 1]), name="model", registered_model_name=sys.argv[1],
        input_example=rows, serialization_format="cloudpickle", pip_requirements=["scikit-learn"],
    )
version = str(logged.registered_model_version)
digest = seal(sys.argv[1], version, {"data.sha256": "d" * 64, "code.version": "c" * 40})
print(json.dumps({"version": version, "run_id": run.info.run_id, "digest": digest}))
"""

FILES = {
    "MLmodel": b"run_id: 0123456789abcdef0123456789abcdef\nflavors: {}\n",
    "model.pkl": bytes(range(256)),
    "data/part.bin": b"\x00\xff",
}


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Give a real MLflow of the image's environment, and a version that was registered as the pipeline does it."""
    python = image_environment.python()
    with environment.mlflow_server(tmp_path_factory.mktemp("mlflow"), python, seconds=240) as server:
        variables = {
            **os.environ,
            "MLFLOW_TRACKING_URI": server.url,
            "PYTHONPATH": str(paths.CHECKOUT / "images" / "python"),
            "GIT_PYTHON_REFRESH": "quiet",
        }
        done = subprocess.run(
            [str(python), "-c", REGISTER, MODEL], env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        yield server.url, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def model() -> dict[str, str]:
    """Give the identity of the version that a registry of the test's own has."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(FILES))
    digest = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    return {"version": "3", "run_id": "0123456789abcdef0123456789abcdef", "digest": digest}


@pytest.fixture
def registry(model: dict[str, str]) -> Iterator[HttpBackend]:
    """Give a server that answers as MLflow does, with files that a test may change."""
    root = "1/models/m-1/artifacts"
    version = {
        "name": MODEL,
        "version": model["version"],
        "run_id": model["run_id"],
        "creation_timestamp": 1732960000000,
        "tags": [
            {"key": "digest", "value": model["digest"]},
            {"key": "data.sha256", "value": "d" * 64},
            {"key": "code.version", "value": "c" * 40},
        ],
    }
    run = {
        "info": {"experiment_id": "1", "status": "FINISHED", "end_time": 1732960000000},
        "data": {"metrics": [{"key": "auc", "value": 0.81}], "params": [], "tags": []},
    }
    replies = {
        "/api/2.0/mlflow/model-versions/get": {"model_version": version},
        "/api/2.0/mlflow/model-versions/get-download-uri": {"artifact_uri": f"mlflow-artifacts:/{root}"},
        "/api/2.0/mlflow/runs/get": {"run": run},
    }
    listed = {
        root: [{"path": "MLmodel"}, {"path": "model.pkl"}, {"path": "data", "is_dir": True}],
        f"{root}/data": [{"path": "part.bin"}],
    }
    artefacts = "/api/2.0/mlflow-artifacts/artifacts"

    def answer(request: Request) -> Reply:
        if request.path == artefacts:
            return Reply(json.dumps({"files": listed[request.query["path"]]}).encode())
        if request.path.startswith(f"{artefacts}/{root}/"):
            return Reply(FILES[request.path.removeprefix(f"{artefacts}/{root}/")])
        told = replies.get(request.path)
        return Reply(json.dumps(told).encode()) if told else Reply(status=404)

    with HttpBackend(answer) as server:
        yield server


@pytest.fixture
def past(tmp_path: Path, model: dict[str, str]) -> Past:
    return Past(tmp_path, model)


@pytest.fixture
def collected(past: Past, model: dict[str, str], registry: HttpBackend) -> Callable[..., Collected]:
    """Return what is collected of a prediction; keywords change what the log says."""

    def run(**changes: Any) -> Collected:
        with log_server({**prediction(model), **changes}) as log:
            return collect(sources(past, log.url, registry.url), REQUEST, stack="local")

    return run
