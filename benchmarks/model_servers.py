"""Model servers as in their pods, with the example's model, in processes of their own.

Run with the packages of `images/python-env` and a folder, it saves that model there.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import open_loop
from benchmarks.open_loop import Client, Offered, percentile

__all__ = ["PATH", "Arm", "await_ready", "made", "serving"]

CHECKOUT = Path(__file__).resolve().parents[1]

NAME = "loan-approval"

PATH = f"/v1/models/{NAME}:predict"

SETTLE = 1.3
"""Seconds in which a model server has sent what it held back for company: `PAUSE` of its sender, and some to do it."""


@dataclass
class Arm:
    """One model server, and what was measured of it."""

    name: str
    port: int
    process: psutil.Process
    output: Path
    """What it has written."""

    saturation: float = 0.0
    runs: list[Offered] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    """Seconds of processor time per answer, one for each run."""

    def ask(self, bodies: Sequence[bytes], arrivals: Sequence[float], rate: float) -> Offered:
        """Send a load from a client of its own."""

        async def asked() -> Offered:
            client = Client(self.port, PATH)
            try:
                return await open_loop.offer(client, bodies, arrivals, rate)
            finally:
                await client.close()

        return open_loop.run(asked())

    def measure(self, bodies: Sequence[bytes], arrivals: Sequence[float], rate: float) -> None:
        """Add a run."""
        before = sum(self.process.cpu_times()[:2])
        self.runs.append(self.ask(bodies, arrivals, rate))
        time.sleep(SETTLE)
        self.processor.append((sum(self.process.cpu_times()[:2]) - before) / max(1, len(self.runs[-1].latencies)))

    def summary(self) -> dict[str, Any]:
        """Return the figures of all runs together, in milliseconds."""
        latencies = [each for run in self.runs for each in run.latencies]
        delays = [each for run in self.runs for each in run.delays]
        return {
            "saturationPerSecond": self.saturation,
            "answers": len(latencies),
            "failed": sum(run.failed for run in self.runs),
            "p50": percentile(latencies, 0.5) * 1000,
            "p99": percentile(latencies, 0.99) * 1000,
            "p50OfRuns": [percentile(run.latencies, 0.5) * 1000 for run in self.runs],
            "p99OfRuns": [percentile(run.latencies, 0.99) * 1000 for run in self.runs],
            "clientLateP99": percentile(delays, 0.99) * 1000,
            "processorPerAnswer": statistics.median(self.processor) * 1000,
        }


def made(python: Path, folder: Path) -> list[bytes]:
    """Have the model saved and return requests for it."""
    path = f"{CHECKOUT}:{CHECKOUT / 'images' / 'python'}"
    done = subprocess.run(
        [python, __file__, folder],
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"the model cannot be made:\n{done.stderr[-4000:]}")
    rows = json.loads((folder / "rows.json").read_text())
    return [json.dumps({"instances": [row]}).encode() for row in rows]


@contextmanager
def serving(python: Path, folder: Path, name: str, log: str | None) -> Iterator[Arm]:
    """Run a model server as its pod does, until the block ends."""
    from tests.support.prediction_log import free_port

    port, output = free_port(), folder / f"{name}.log"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(CHECKOUT / "images" / "python"),
        "MODEL_NAME": NAME,
        "MODEL_VERSION": "1",
        "MODEL_RUN_ID": "r1",
        "POD_NAMESPACE": "models",
        **({"PREDICTION_LOG_URL": log} if log else {}),
    }
    arguments = [f"--model_name={NAME}", f"--model_dir={folder / 'model'}", f"--http_port={port}"]
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [python, "-m", "platform_runtime.serve", *arguments], env=environment, stdout=stream, stderr=stream
        )
    try:
        yield Arm(name, port, psutil.Process(process.pid), output)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_ready(arm: Arm, seconds: float = 240) -> None:
    """Return when a server answers."""
    deadline = time.monotonic() + seconds
    while not _ready(arm.port):
        if not arm.process.is_running() or arm.process.status() == "zombie" or time.monotonic() > deadline:
            sys.exit(f"the model server does not answer:\n{arm.output.read_text()[-4000:]}")
        time.sleep(0.1)


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False


def make_model(folder: Path) -> None:
    """Save the example's model as its pipeline does, with rows to ask about beside it; needs the image's packages."""
    import mlflow
    from mlflow.models import infer_signature

    from tests.support import loans

    trained = loans.train()
    sample = trained.held_out[loans.FEATURES].head(5)
    mlflow.sklearn.save_model(
        trained.model,
        folder / "model",
        signature=infer_signature(sample, trained.model.predict_proba(sample)),
        serialization_format="cloudpickle",
        pyfunc_predict_fn="predict_proba",
        pip_requirements=[],
    )
    description = folder / "model" / "MLmodel"
    description.write_text(description.read_text() + "run_id: r1\n")
    rows = trained.held_out[loans.FEATURES].to_dict(orient="records")
    (folder / "rows.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    make_model(Path(sys.argv[1]))
