"""Run a compiled kfp pipeline in this process's container: `python -m platform_runtime.pipeline <pipeline.yaml>`.

Standard output has one JSON line per event (`{"event": "task", …}`), between the logs of the steps; the last event
is also the container's termination message. The run and its evidence are recorded in MLflow, and every step finds
that MLflow run in its environment; the steps' files go to PIPELINE_ROOT when it is set.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import logging
import os
import re
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

__all__ = ["Evidence", "MlflowRecorder", "Recorder", "Stopped", "Task", "Watch", "main", "run"]

UNRESOLVED = "Could not resolve CEL parameter"
"""kfp's local runner logs this and takes the condition as false: a step was left out that nobody meant to leave out."""

MESSAGE_LIMIT = 4000
"""Kubernetes keeps 4096 bytes of a termination message."""

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"^Executing task '(?P<task>[^']+)'")
_FINISHED = re.compile(r"^Task '(?P<task>[^']+)' finished with status (?P<status>\w+)")


_MLFLOW_STATUS = {"SUCCESS": "FINISHED", "FAILURE": "FAILED", "STOPPED": "KILLED"}


class Stopped(BaseException):
    """Somebody deleted the run's pod, or it took too long."""


@dataclass
class Task:
    """One step of the pipeline, as it went."""

    name: str
    status: str = "RUNNING"
    seconds: float = 0.0
    parameters: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass
class Evidence:
    """What a run did."""

    run: str
    pipeline: str
    pipeline_sha256: str
    arguments: dict[str, Any]
    mlflow_run_id: str = ""
    status: str = "RUNNING"
    seconds: float = 0.0
    reason: str = ""
    tasks: list[Task] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return the last event of a run."""
        return {
            "event": "run",
            "run": self.run,
            "pipeline": self.pipeline,
            "pipeline_sha256": self.pipeline_sha256,
            "mlflow_run_id": self.mlflow_run_id,
            "status": self.status,
            "seconds": round(self.seconds, 2),
            "reason": self.reason,
            "tasks": {task.name: task.status for task in self.tasks},
        }


class Recorder(Protocol):
    """Where a run is remembered."""

    def start(self, evidence: Evidence) -> str:
        """Open a run; return its id."""

    def finish(self, evidence: Evidence) -> None:
        """Write down how it went."""


class MlflowRecorder:
    """Remember runs in MLflow: experiment = pipeline, parameters = arguments, metrics of the steps, evidence.json."""

    def __init__(self) -> None:
        import mlflow

        self._client = mlflow.MlflowClient()
        self._mlflow = mlflow

    def start(self, evidence: Evidence) -> str:
        experiment = self._mlflow.set_experiment(evidence.pipeline)
        opened = self._client.create_run(
            experiment.experiment_id,
            run_name=evidence.run,
            tags={
                "pipeline.name": evidence.pipeline,
                "pipeline.sha256": evidence.pipeline_sha256,
                "pipeline.job": evidence.run,
            },
        )
        for name, value in evidence.arguments.items():
            self._client.log_param(opened.info.run_id, name, value)
        return str(opened.info.run_id)

    def finish(self, evidence: Evidence) -> None:
        for task in evidence.tasks:
            for metadata in task.artifacts.values():
                for name, value in metadata.items():
                    if isinstance(value, int | float) and not isinstance(value, bool):
                        self._client.log_metric(evidence.mlflow_run_id, name, float(value))
        self._client.log_dict(evidence.mlflow_run_id, _plain(evidence), "evidence.json")
        self._client.set_terminated(evidence.mlflow_run_id, _MLFLOW_STATUS[evidence.status])


class Watch(logging.Filter):
    """Follow kfp's local runner by what it logs, which is the only place where it says what it does."""

    def __init__(self, root: Path, tell: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self.tasks: list[Task] = []
        self.unresolved: list[str] = []
        self.output: deque[str] = deque(maxlen=40)
        self._root = root
        self._tell = tell
        self._started: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message = _COLOUR.sub("", record.getMessage())
        if UNRESOLVED in message:
            self.unresolved.append(message)
        elif found := _STARTED.match(message):
            self._started[found["task"]] = time.monotonic()
            self.output.clear()
            self._tell({"event": "task", "task": found["task"], "status": "RUNNING"})
        elif found := _FINISHED.match(message):
            self._finish(found["task"], found["status"])
        return True

    def _finish(self, name: str, status: str) -> None:
        task = Task(name, status, round(time.monotonic() - self._started.get(name, time.monotonic()), 2))
        task.parameters, task.artifacts = _outputs(self._root, name)
        if status != "SUCCESS":
            task.reason = _reason(self.output)
        self.tasks.append(task)
        self._tell({"event": "task", **{"task" if key == "name" else key: value for key, value in vars(task).items()}})

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """Watch all that is logged and printed inside the block."""
        logger, original = logging.getLogger(), sys.stdout
        logger.addFilter(self)
        sys.stdout = _Tee(original, self.output)
        try:
            yield
        finally:
            sys.stdout = original
            logger.removeFilter(self)


class _Tee(io.TextIOBase):
    """Standard output that remembers its last lines."""

    def __init__(self, original: TextIO, lines: deque[str]) -> None:
        self._original = original
        self._lines = lines
        self._rest = ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        self._lines.extend(line for line in whole if line.strip())
        return self._original.write(text)

    def flush(self) -> None:
        self._original.flush()


def run(
    pipeline: Path,
    arguments: Mapping[str, Any],
    *,
    name: str,
    root: Path,
    recorder: Recorder,
    tell: Callable[[dict[str, Any]], None],
) -> Evidence:
    """Run the pipeline to its end and return what it did; failing steps are told, not raised."""
    from kfp import components, local

    text = pipeline.read_text()
    component = components.load_component_from_text(text)
    evidence = Evidence(
        run=name,
        pipeline=component.name,
        pipeline_sha256=hashlib.sha256(text.encode()).hexdigest(),
        arguments=dict(arguments),
    )
    started = time.monotonic()
    evidence.mlflow_run_id = recorder.start(evidence)
    # As the Kubeflow backend does, so that a step is written the same way for both.
    os.environ.update(MLFLOW_RUN_ID=evidence.mlflow_run_id, MLFLOW_EXPERIMENT_NAME=evidence.pipeline)
    tell({"event": "start", "run": name, "pipeline": component.name, "mlflow_run_id": evidence.mlflow_run_id})
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=True)
    watch = Watch(root, tell)
    try:
        with watch.following():
            component(**arguments)
        evidence.status = "SUCCESS"
    except Stopped:
        evidence.status, evidence.reason = "STOPPED", "the run was told to stop"
    except Exception as error:  # noqa: BLE001 (whatever a step does is the run's outcome, not a fault of the runner)
        evidence.status, evidence.reason = "FAILURE", _COLOUR.sub("", str(error))
    evidence.tasks = watch.tasks
    if watch.unresolved:
        evidence.status = "FAILURE"
        evidence.reason = f"{watch.unresolved[0]}: let the deciding step return one value without a name"
    elif evidence.status == "FAILURE" and (
        failed := next((task for task in watch.tasks if task.status != "SUCCESS"), None)
    ):
        evidence.reason = f"{failed.name}: {failed.reason or evidence.reason}"
    evidence.seconds = time.monotonic() - started
    recorder.finish(evidence)
    return evidence


def _outputs(root: Path, task: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters a step put out, and the metadata of its artefacts."""
    files = sorted(root.glob(f"**/{task}/executor_output.json"), key=lambda file: file.stat().st_mtime)
    if not files:
        return {}, {}
    written = json.loads(files[-1].read_text())
    artifacts = {
        name: entry["artifacts"][0].get("metadata", {})
        for name, entry in written.get("artifacts", {}).items()
        if entry.get("artifacts")
    }
    return written.get("parameterValues", {}), artifacts


def _reason(output: Sequence[str]) -> str:
    """Return the line of a step's output that says why it failed: the last that is not indented or a frame."""
    lines = [line.removeprefix("    ") for line in output]
    told = [line for line in lines if line and not line.startswith((" ", "Traceback"))]
    return told[-1].strip() if told else ""


def _plain(evidence: Evidence) -> dict[str, Any]:
    return {**vars(evidence), "tasks": [vars(task) for task in evidence.tasks]}


def _teller(stream: TextIO) -> Callable[[dict[str, Any]], None]:
    def tell(event: dict[str, Any]) -> None:
        # A step may have left a line unfinished.
        stream.write(f"\n{json.dumps(event, default=str)}\n")
        stream.flush()

    return tell


def main(arguments: Sequence[str]) -> int:
    """Run the pipeline named on the command line; return 0 only when all of it succeeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("pipeline", type=Path, help="The compiled pipeline.")
    parser.add_argument("--arguments", type=Path, help="JSON file with the pipeline's arguments.")
    parser.add_argument("--root", type=Path, default=Path("/work"), help="Folder for the steps' files.")
    parser.add_argument("--run", default="local", help="Name of the run.")
    options = parser.parse_args(arguments)
    tell = _teller(sys.stdout)
    signal.signal(signal.SIGTERM, _stop)
    given = json.loads(options.arguments.read_text()) if options.arguments and options.arguments.exists() else {}
    try:
        evidence = run(
            options.pipeline, given, name=options.run, root=options.root, recorder=MlflowRecorder(), tell=tell
        )
        if target := os.environ.get("PIPELINE_ROOT"):
            from platform_runtime.storage import Store

            Store().upload(options.root, f"{target.rstrip('/')}/{options.run}")
        summary = evidence.summary()
    except Exception as error:
        summary = {
            "event": "run",
            "run": options.run,
            "status": "FAILURE",
            "reason": f"{type(error).__name__}: {error}",
        }
        logging.getLogger(__name__).exception("the run could not be carried out")
    tell(summary)
    _leave_message(summary)
    return 0 if summary["status"] == "SUCCESS" else 1


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _leave_message(summary: Mapping[str, Any]) -> None:
    file = Path(os.environ.get("TERMINATION_MESSAGE", "/dev/termination-log"))
    with contextlib.suppress(OSError):
        file.write_text(json.dumps(summary, default=str)[:MESSAGE_LIMIT])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
