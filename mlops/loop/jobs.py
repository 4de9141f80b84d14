"""Start a pipeline run as a Job and follow what it says, event by event."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from mlops.loop.cluster import Cluster
from mlops.loop.diagnosis import pod_trouble
from mlops.loop.ledger import StageError
from mlops.loop.places import Places

__all__ = ["Run", "Task", "cancel", "follow", "submit"]

START = 90.0
"""Seconds a pod may take to start: its image is in the node."""

SILENCE = 30.0
"""Seconds without a line after which the log is asked for again."""


@dataclass(frozen=True)
class Task:
    """A finished step."""

    name: str
    status: str
    seconds: float
    parameters: dict[str, Any]
    artifacts: dict[str, dict[str, Any]]
    reason: str


@dataclass
class Run:
    """A pipeline run."""

    name: str
    namespace: str
    mlflow_run_id: str = ""
    tasks: dict[str, Task] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    """The last event; empty while the run is under way."""


def submit(cluster: Cluster, places: Places, name: str, pipeline: str, arguments: dict[str, Any]) -> Run:
    """Create ConfigMap and Job of a run; deleting the Job deletes both."""
    manifest = yaml.safe_load(places.job.replace("${RUN}", name))
    namespace = manifest["metadata"]["namespace"]
    configmaps = f"/api/v1/namespaces/{namespace}/configmaps"
    cluster.create(
        configmaps,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": manifest["metadata"]["labels"]},
            "data": {"pipeline.yaml": pipeline, "arguments.json": json.dumps(arguments)},
        },
    )
    try:
        job = cluster.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", manifest)
    except BaseException:
        cluster.delete(f"{configmaps}/{name}")
        raise
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"]}
    cluster.patch(f"{configmaps}/{name}", {"metadata": {"ownerReferences": [owner]}})
    return Run(name, namespace)


def cancel(cluster: Cluster, run: Run) -> None:
    """Delete the Job, its pod and its ConfigMap."""
    cluster.delete(f"/apis/batch/v1/namespaces/{run.namespace}/jobs/{run.name}")
    cluster.delete(f"/api/v1/namespaces/{run.namespace}/configmaps/{run.name}")


def follow(
    cluster: Cluster,
    run: Run,
    *,
    deadline: float,
    tell: Callable[[Task], None],
    started: Callable[[str], None] = lambda _task: None,
) -> Run:
    """Follow the run to its end; `tell` is called with each finished step, `started` with the name of each new one.

    `deadline` is a value of time.monotonic. Raises StageError when the pod does not start or the run does not end.
    """
    pod = _started(cluster, run, min(deadline, time.monotonic() + START))
    current = "pipeline"
    while not run.end:
        if time.monotonic() > deadline:
            raise StageError(current, f"Job {run.namespace}/{run.name}", "is still at it: out of time")
        for event in _events(cluster.log(run.namespace, pod, silence=SILENCE)):
            if event["event"] == "task" and event["status"] == "RUNNING" and event["task"] not in run.tasks:
                current = event["task"]
                started(current)
            _take(run, event, tell)
            if time.monotonic() > deadline:
                break
        if not run.end:
            _ended_silently(cluster, run, pod, current)
    return run


def _take(run: Run, event: dict[str, Any], tell: Callable[[Task], None]) -> None:
    """Put down one event. The log may be read again from its start: what is known is not told twice."""
    if event["event"] == "start":
        run.mlflow_run_id = event["mlflow_run_id"]
    elif event["event"] == "run":
        run.end = event
    elif event["status"] != "RUNNING" and event["task"] not in run.tasks:
        run.tasks[event["task"]] = task = _task(event)
        tell(task)


def _task(event: dict[str, Any]) -> Task:
    return Task(
        name=event["task"],
        status=event["status"],
        seconds=event["seconds"],
        parameters=event["parameters"],
        artifacts=event["artifacts"],
        reason=event["reason"],
    )


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith('{"event":'):
            try:
                yield json.loads(line)
            except ValueError:  # cut off: it comes again with the next look at the log
                continue


def _pods(cluster: Cluster, run: Run) -> list[dict[str, Any]]:
    selector = f"batch.kubernetes.io/job-name={run.name}"
    return cluster.items(f"/api/v1/namespaces/{run.namespace}/pods", labelSelector=selector)


def _started(cluster: Cluster, run: Run, deadline: float) -> str:
    """Return the name of the run's pod once its container has started."""
    subject, trouble = f"Job {run.namespace}/{run.name}", "it has no pod"
    while time.monotonic() < deadline:
        for pod in _pods(cluster, run):
            if pod["status"].get("phase") in {"Running", "Succeeded", "Failed"}:
                return str(pod["metadata"]["name"])
            trouble = pod_trouble(pod) or "its pod is pending"
        job = cluster.get(f"/apis/batch/v1/namespaces/{run.namespace}/jobs/{run.name}") or {}
        for condition in job.get("status", {}).get("conditions", []):
            if condition["type"] == "Failed":
                raise StageError("pipeline", subject, f"failed: {condition.get('message', '')}")
        time.sleep(0.5)
    raise StageError("pipeline", subject, f"does not start: {trouble}{_warning(cluster, run)}")


def _warning(cluster: Cluster, run: Run) -> str:
    """Return the last warning about the Job: what forbids its pod stands nowhere else."""
    selector = f"involvedObject.name={run.name},type=Warning"
    events = cluster.items(f"/api/v1/namespaces/{run.namespace}/events", fieldSelector=selector)
    return f" ({events[-1]['message']})" if events else ""


def _ended_silently(cluster: Cluster, run: Run, pod: str, current: str) -> None:
    """Raise StageError when the pod is over although its last event never came: killed, evicted, deleted."""
    subject = f"Job {run.namespace}/{run.name}"
    found = cluster.get(f"/api/v1/namespaces/{run.namespace}/pods/{pod}")
    if found is None:
        raise StageError(current, subject, "lost its pod")
    for container in found["status"].get("containerStatuses", []):
        ended = container["state"].get("terminated")
        if not ended:
            continue
        try:
            run.end = json.loads(ended.get("message", ""))
        except ValueError:
            reason = f"ended with {ended.get('reason')} (exit code {ended.get('exitCode')})"
            raise StageError(current, subject, reason) from None
