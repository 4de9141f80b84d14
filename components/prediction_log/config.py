"""What an order form may say about the prediction log."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from components._core.config import ComponentConfig, Quantity, Resources

__all__ = ["PredictionLogConfig"]

Name = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=200)]


class PredictionLogConfig(ComponentConfig):
    """One collector on a volume, a database and a bucket. Its version is that of the image `images/python`."""

    sensitive: dict[Name, dict[Name, Literal["hash", "drop"]]] = pydantic.Field(default_factory=dict)
    """Columns that are not stored as they come, per model or InferenceService, `*` for all: `hash` or `drop`.

    They hold for inputs and outputs from the next event on. Where a model has any, rows without names are not stored.
    """

    retention_days: int = pydantic.Field(default=90, ge=1)
    """How long the database keeps predictions and truths. Nothing goes that is not in a Parquet file."""

    archive_days: int = pydantic.Field(default=730, ge=1)
    """How long Parquet files are kept; at least as long as the database keeps their rows."""

    dead_letter_days: int = pydantic.Field(default=14, ge=1)
    """How long events are kept that could not be read. They are as they came, sensitive columns included."""

    archive_seconds: int = pydantic.Field(default=300, ge=10)
    """How often Parquet files are written."""

    spool_mib: int = pydantic.Field(default=1024, ge=16, le=1024 * 1024)
    """Size of the spool in MiB: what may wait while the database is away; above it events are refused."""

    body_mib: int = pydantic.Field(default=4, ge=1, le=64)
    """Largest body of a request or an answer in MiB; a larger one is served and not logged."""

    storage: Quantity = "2Gi"
    """Size of the spool's volume; more than `spoolMib`."""

    protect: bool = False
    """Refuse to delete or replace the volume: `pulumi destroy` stops until this is false again."""

    resources: Resources = Resources.model_validate(
        {"cpu": "50m", "memory": "128Mi", "cpuLimit": "1", "memoryLimit": "768Mi"}
    )
    """Requests and limits of the collector."""

    @pydantic.model_validator(mode="after")
    def _files_outlive_rows(self) -> PredictionLogConfig:
        if self.archive_days < self.retention_days:
            msg = f"archiveDays is {self.archive_days}, wanted at least retentionDays ({self.retention_days})"
            raise ValueError(msg)
        return self
