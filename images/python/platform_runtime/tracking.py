"""Run the MLflow server: `python -m platform_runtime.tracking` and the options of `mlflow server`.

MLflow's own command checks its options, starts uvicorn and waits beside it, with all that it has imported: 180 MiB that
do nothing but pass signals on. Here it becomes that uvicorn.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["become", "main"]


def become(command: Sequence[str], *, extra_env: Mapping[str, str], **_options: Any) -> NoReturn:
    """Take the place of MLflow's way to start a process: let this one be it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], list(command), {**os.environ, **extra_env})  # noqa: S606 (the command is MLflow's)


def main() -> None:
    """Run `mlflow server`. Needs its job runner to be off: nothing is left that could start it."""
    import mlflow.server
    from mlflow.cli import cli
    from mlflow.environment_variables import MLFLOW_SERVER_ENABLE_JOB_EXECUTION

    if MLFLOW_SERVER_ENABLE_JOB_EXECUTION.get():
        sys.exit("set MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false: the job runner needs MLflow's own parent process")
    if not callable(getattr(mlflow.server, "_exec_cmd", None)):
        sys.exit(f"MLflow {mlflow.__version__} starts its server in another way: adapt platform_runtime.tracking")
    mlflow.server._exec_cmd = become  # noqa: SLF001 (MLflow has no option for it; the version is pinned)
    cli(["server", *sys.argv[1:]])


if __name__ == "__main__":
    main()
