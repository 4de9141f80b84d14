"""What the collector is told by its environment: one variable PREDICTION_LOG_<FIELD> for each field of `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pydantic

__all__ = ["Rules", "Settings"]

PREFIX = "PREDICTION_LOG_"

Rules = dict[str, dict[str, Literal["hash", "drop"]]]
"""Per model or InferenceService, `*` for all: what happens to a column before it is stored."""


class Settings(pydantic.BaseModel):
    """The collector's environment."""

    model_config = pydantic.ConfigDict(frozen=True, use_attribute_docstrings=True)

    database: str
    """SQLAlchemy URL of a PostgreSQL database that the collector owns."""

    connections: int = pydantic.Field(default=6, ge=3)
    """Connections to it at most: writing and housekeeping need one each, questions the rest."""

    key: pydantic.SecretStr = pydantic.Field(min_length=16)
    """Key of all hashes; whoever has it can try values out."""

    archive: str
    """`s3://bucket` or `file:///folder` for Parquet files; the S3 server is the one that the AWS_* variables name."""

    spool: Path = Path("/var/lib/prediction-log")
    """Folder of accepted events that are not in the database yet."""

    spool_bytes: int = pydantic.Field(default=1 << 30, ge=1 << 20)
    """How much may wait there; above it events are refused."""

    body_bytes: int = pydantic.Field(default=4 << 20, ge=1024)
    """Largest body of one event, or of one call with truths; files may have four times as much."""

    rules: pydantic.Json[Rules] = pydantic.Field(default_factory=dict)
    """Sensitive columns, as JSON."""

    reader: str = ""
    """Database role that may read requests, predictions and truths."""

    retention_days: int = pydantic.Field(default=90, ge=1)
    """How long the database keeps what is archived."""

    archive_days: int = pydantic.Field(default=730, ge=1)
    """How long Parquet files are kept."""

    dead_letter_days: int = pydantic.Field(default=14, ge=1)
    """How long events are kept that could not be read; they are as they came, sensitive columns included."""

    archive_seconds: float = pydantic.Field(default=300, gt=0)
    """How often files are written."""

    port: int = pydantic.Field(default=8080, ge=0, le=65535)
    """Port of the HTTP server."""

    @pydantic.model_validator(mode="after")
    def _files_outlive_rows(self) -> Settings:
        if self.archive_days < self.retention_days:
            msg = f"archive_days {self.archive_days} is less than retention_days {self.retention_days}"
            raise ValueError(msg)
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables that are set and not empty."""
        return cls.model_validate(
            {
                name: environment[variable]
                for name in cls.model_fields
                if environment.get(variable := f"{PREFIX}{name.upper()}")
            }
        )
