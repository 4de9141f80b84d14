"""Complete a version in the registry: tags, aliases, and a digest of the artefacts as the registry hands them out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from platform_runtime.identity import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CANDIDATE", "CHAMPION", "aliases", "seal"]

CANDIDATE = "candidate"
"""Alias of the version that the auditor looks at: the newest one, until the conformity gate rolls it back."""

CHAMPION = "champion"
"""Alias of the version to use."""


def seal(name: str, version: str, tags: Mapping[str, str], *, alias: str | None = None) -> str:
    """Tag the version, also with `digest`, then move the alias to it; return the digest.

    The aliases come last: whoever follows one finds a version that is complete.
    """
    import mlflow

    client = mlflow.MlflowClient()
    with tempfile.TemporaryDirectory() as scratch:
        copy = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=str(Path(scratch, "model")))
        found = digest(Path(copy))
    for key, value in {**tags, "digest": found}.items():
        client.set_model_version_tag(name, version, key, value)
    for each in aliases(alias, os.environ):
        client.set_registered_model_alias(name, each, version)
    return found


def aliases(wanted: str | None, environment: Mapping[str, str]) -> list[str]:
    """Return the aliases that a new version gets when its pipeline wants it to have this one.

    Where the conformity gate enforces (CONFORMITY_GATE), it alone makes champions.
    """
    if wanted is None:
        return []
    gated = wanted == CHAMPION and environment.get("CONFORMITY_GATE") == "enforce"
    return [CANDIDATE] if gated else [CANDIDATE, *({wanted} - {CANDIDATE})]
