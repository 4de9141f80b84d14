"""The tracking server is one process: MLflow's command becomes the uvicorn that it would have started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from components._core import paths

MLFLOW = {
    "mlflow/__init__.py": "__version__ = '1'\n",
    "mlflow/server.py": "def _exec_cmd(*_, **__):\n    raise SystemExit('a process beside it')\n",
    "mlflow/cli.py": """
import os, sys
from mlflow import server
def cli(arguments):
    program = "import json, os, sys; print(json.dumps([os.getpid(), os.environ['GIVEN'], sys.argv[1:]]))"
    print(os.getpid())
    server._exec_cmd(
        [sys.executable, "-c", program, *arguments], extra_env={"GIVEN": "1"}, capture_output=False, synchronous=False
    )
""",
    "mlflow/environment_variables.py": """
import os
class MLFLOW_SERVER_ENABLE_JOB_EXECUTION:
    get = staticmethod(lambda: os.environ.get("JOBS") == "on")
""",
}
"""As much of MLflow as the module touches."""


def serve(folder: Path, *, jobs: str = "off", files: dict[str, str] = MLFLOW) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "platform_runtime.tracking", "--port=1"],
        env={"PYTHONPATH": f"{folder}:{paths.CHECKOUT / 'images' / 'python'}", "JOBS": jobs},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_becomes_the_server(tmp_path: Path) -> None:
    done = serve(tmp_path)
    assert done.returncode == 0, done.stderr
    before, after = done.stdout.splitlines()
    assert json.loads(after) == [int(before), "1", ["server", "--port=1"]]


def test_a_job_runner_is_refused_for_there_is_nobody_to_start_it(tmp_path: Path) -> None:
    done = serve(tmp_path, jobs="on")
    assert done.returncode == 1
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in done.stderr


def test_an_mlflow_that_starts_otherwise_is_named(tmp_path: Path) -> None:
    done = serve(tmp_path, files={**MLFLOW, "mlflow/server.py": "OTHER = 1\n"})
    assert done.returncode == 1
    assert "MLflow 1 starts its server in another way" in done.stderr
