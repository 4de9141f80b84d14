"""A run is followed to its end whatever happens to its log and its pod, and never for ever."""

from __future__ import annotations

import json
import time
from typing import Any, cast

import pytest

from mlops.errors import OperationError
from mlops.loop import jobs, places
from mlops.loop.cluster import Cluster
from mlops.loop.jobs import Run, Task
from mlops.loop.ledger import StageError
from tests.support.loop import FakePlatform

PODS = "/api/v1/namespaces/pipelines/pods"
START = json.dumps({"event": "start", "run": "r", "pipeline": "p", "mlflow_run_id": "m1"})
END = json.dumps({"event": "run", "run": "r", "status": "SUCCESS", "reason": ""})


def task(name: str, status: str = "SUCCESS") -> str:
    return json.dumps(
        {
            "event": "task",
            "task": name,
            "status": status,
            "seconds": 1.5,
            "parameters": {},
            "artifacts": {},
            "reason": "",
        }
    )


def running(name: str) -> str:
    return json.dumps({"event": "task", "task": name, "status": "RUNNING"})


def platform(*logs: list[str], **status: Any) -> FakePlatform:
    found = FakePlatform(logs=list(logs))
    one = {"metadata": {"name": "pod-1"}, "status": {"phase": "Running", **status}}
    found.objects[PODS] = [one]
    found.objects[f"{PODS}/pod-1"] = one
    return found


def follow(fake: FakePlatform, seconds: float = 5) -> tuple[Run, list[Task]]:
    told: list[Task] = []
    run = jobs.follow(
        cast("Cluster", fake), Run("r", "pipelines"), deadline=time.monotonic() + seconds, tell=told.append
    )
    return run, told


def test_steps_are_told_as_they_end() -> None:
    run, told = follow(platform([START, "noise", running("read"), task("read"), '{"event": "ta', END]))
    assert [(step.name, step.seconds) for step in told] == [("read", 1.5)]
    assert run.mlflow_run_id == "m1"
    assert run.end["status"] == "SUCCESS"


def test_a_log_that_breaks_off_is_read_again_without_telling_twice() -> None:
    _, told = follow(platform([START, task("read")], [START, task("read"), task("train"), END]))
    assert [step.name for step in told] == ["read", "train"]


def test_a_log_that_is_gone_leaves_the_pods_last_word() -> None:
    status = {"containerStatuses": [{"state": {"terminated": {"reason": "Completed", "message": END}}}]}
    run, _ = follow(platform([START], **status))
    assert run.end["status"] == "SUCCESS"


def test_a_killed_pod_is_told_with_its_step() -> None:
    status = {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}
    with pytest.raises(StageError) as caught:
        follow(platform([START, running("train")], **status))
    assert str(caught.value) == "train: Job pipelines/r ended with OOMKilled (exit code 137)"


def test_a_pod_that_is_gone_is_told() -> None:
    fake = platform([START])
    fake.objects[f"{PODS}/pod-1"] = None
    with pytest.raises(StageError, match="lost its pod"):
        follow(fake)


def test_time_is_bounded() -> None:
    with pytest.raises(StageError, match="out of time"):
        follow(platform(*([START] for _ in range(10_000))), seconds=0.2)


def test_a_pod_that_cannot_start_is_told_with_the_reason() -> None:
    waiting = {"name": "pipeline", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    with pytest.raises(StageError, match=r"does not start: pod pod-1: pipeline: ErrImagePull \(no such image\)"):
        follow(platform(phase="Pending", containerStatuses=[waiting]), seconds=0.6)


def test_configmap_and_job_belong_together() -> None:
    fake = FakePlatform()
    found = places.find(cast("Cluster", fake))
    run = jobs.submit(cast("Cluster", fake), found, "mine", "pipeline text", {"a": 1})
    config = fake.objects["/api/v1/namespaces/pipelines/configmaps/mine"]
    assert config["data"] == {"pipeline.yaml": "pipeline text", "arguments.json": '{"a": 1}'}
    assert config["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    job = fake.objects["/apis/batch/v1/namespaces/pipelines/jobs/mine"]
    assert job["spec"]["template"]["spec"]["volumes"] == [{"configMap": {"name": "mine"}}]
    jobs.cancel(cast("Cluster", fake), run)
    assert not [path for path in fake.objects if path.endswith("/mine")]


def test_nothing_is_left_when_the_job_is_refused() -> None:
    class Refusing(FakePlatform):
        def create(self, path: str, manifest: Any) -> dict[str, Any]:
            if path.endswith("/jobs"):
                raise OperationError("forbidden")
            return super().create(path, manifest)

    fake = Refusing()
    with pytest.raises(OperationError, match="forbidden"):
        jobs.submit(cast("Cluster", fake), places.find(cast("Cluster", fake)), "mine", "", {})
    assert fake.deleted == ["/api/v1/namespaces/pipelines/configmaps/mine"]
