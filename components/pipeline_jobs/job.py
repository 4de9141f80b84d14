"""The Job that runs a compiled pipeline, as a template: `${RUN}` stands for the run's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components._core.component import labels
from components._core.workload import container, pod_spec
from components.pipeline_jobs.config import PipelineJobsConfig

__all__ = ["RUN", "camel_keys", "job"]

RUN = "${RUN}"
"""Replaced by whoever starts a run; the ConfigMap of that name holds `pipeline.yaml` and `arguments.json`."""

WORK = "/work"

TMP = "/tmp"  # noqa: S108 (an emptyDir of the pod alone)


def job(
    config: PipelineJobsConfig, *, image: str, service_account: str, environment: Mapping[str, str], secret: str
) -> dict[str, Any]:
    """Return the Job's manifest. `environment` is what every step finds; `secret` adds the credentials of the store."""
    runner = container(
        "pipeline",
        image,
        config.resources,
        command=["python", "-m", "platform_runtime.pipeline"],
        args=["/pipeline/pipeline.yaml", "--arguments=/pipeline/arguments.json", f"--root={WORK}", f"--run={RUN}"],
        env={"HOME": TMP, **environment},
        mounts={"/pipeline": "pipeline", WORK: "work", TMP: "tmp"},
        env_from=[{"secret_ref": {"name": secret}}],
    )
    pod = pod_spec(
        [runner],
        volumes={
            "pipeline": {"config_map": {"name": RUN}},
            "work": {"empty_dir": {"size_limit": config.work_size}},
            "tmp": {"empty_dir": {}},
        },
        service_account=service_account,
        restart_policy="Never",
    )
    metadata = {"name": RUN, "namespace": config.namespace, "labels": labels("pipeline")}
    template = {"metadata": {"labels": {**labels("pipeline"), "oss-mlops-platform/run": RUN}}, "spec": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": camel_keys(
            {
                # A step may have registered or deployed something: to run it again is for a person to decide.
                "backoff_limit": 0,
                "active_deadline_seconds": config.deadline_seconds,
                "ttl_seconds_after_finished": config.keep_seconds,
                "template": template,
            }
        ),
    }


def camel_keys(value: Any) -> Any:
    """Return `value` with the keys of all mappings in it as Kubernetes writes them."""
    if isinstance(value, Mapping):
        return {re.sub(r"_([a-z])", lambda m: m[1].upper(), key): camel_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [camel_keys(item) for item in value]
    return value
