"""Complete a version in the registry: tags, alias, and a digest of the artefacts as the registry hands them out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from platform_runtime.identity import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["seal"]


def seal(name: str, version: str, tags: Mapping[str, str], *, alias: str | None = None) -> str:
    """Tag the version, also with `digest`, then move the alias to it; return the digest.

    The alias comes last: whoever follows it finds a version that is complete.
    """
    import mlflow

    client = mlflow.MlflowClient()
    with tempfile.TemporaryDirectory() as scratch:
        copy = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(Path(scratch, "model")))
        found = digest(Path(copy))
    for key, value in {**tags, "digest": found}.items():
        client.set_model_version_tag(name, version, key, value)
    if alias:
        client.set_registered_model_alias(name, alias, version)
    return found
