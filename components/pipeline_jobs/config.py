"""What an order form may say about pipeline runs."""

from __future__ import annotations

import pydantic

from components._core.config import ComponentConfig, DnsName, Resources

__all__ = ["PipelineJobsConfig"]


class PipelineJobsConfig(ComponentConfig):
    """One Job per pipeline run, all steps in one pod."""

    namespace: DnsName = "pipelines"
    """Namespace that runs are put into. It enforces Pod Security `restricted`."""

    resources: Resources = Resources.model_validate(
        {"cpu": "200m", "memory": "512Mi", "cpuLimit": "2", "memoryLimit": "2Gi"}
    )
    """Requests and limits of a run. A step has no limits of its own: all steps share the pod."""

    deadline_seconds: int = pydantic.Field(default=3600, ge=60)
    """A run that takes longer is ended and counts as failed."""

    keep_seconds: int = pydantic.Field(default=86400, ge=0)
    """How long a finished Job and its log stay in the cluster. What it recorded in MLflow stays for good."""

    work_size: str = pydantic.Field(default="2Gi", pattern=r"^[1-9][0-9]*(Mi|Gi)$")
    """Upper bound of what the steps of one run may write to disk."""
