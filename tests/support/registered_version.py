"""A real MLflow of the image's environment, and a version that was registered as the pipeline does it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cabc.demo import environment

from components._core import paths
from tests.support import image_environment
from tests.support.trace import MODEL

__all__ = ["version_in_mlflow"]

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


@contextmanager
def version_in_mlflow(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the server's address, and version, run id and digest."""
    python = image_environment.python()
    with environment.mlflow_server(folder, python, seconds=240) as server:
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
