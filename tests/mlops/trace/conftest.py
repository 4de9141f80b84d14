"""A prediction whose every hop is there: the registry is a real MLflow where a test asks for it, else its answers."""

from __future__ import annotations

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
from tests.support.http_backend import HttpBackend
from tests.support.trace import MODEL, REQUEST, Past, log_server, prediction, registered, registry_server, sources

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
    return registered()


@pytest.fixture
def registry(model: dict[str, str]) -> Iterator[HttpBackend]:
    """Give a server that answers as MLflow does."""
    with registry_server(model) as server:
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
