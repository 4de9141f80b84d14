"""Which model a folder of artefacts is: told by the artefacts themselves, named by the registry's annotations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ANNOTATION", "Identity", "digest", "identify"]

ANNOTATION = "oss-mlops-platform"
"""Prefix of the annotations of an InferenceService: `/model-name`, `/model-version`, `/run-id`, `/digest`."""

_ADDED_BY_DOWNLOAD = frozenset({"registered_model_meta"})
"""Written by MLflow into a downloaded copy; not a part of the artefact."""


@dataclass(frozen=True)
class Identity:
    """One version of one model. A text is empty where nobody knows."""

    name: str
    version: str
    run_id: str
    digest: str

    def headers(self) -> dict[str, str]:
        """Return the headers that every answer carries."""
        return {
            "x-model-name": self.name,
            "x-model-version": self.version,
            "x-model-run-id": self.run_id,
            "x-model-digest": self.digest,
        }

    def fields(self) -> dict[str, str]:
        """Return the same as fields of a body."""
        return {
            "model_name": self.name,
            "model_version": self.version,
            "run_id": self.run_id,
            "digest": self.digest,
        }


def digest(folder: Path) -> str:
    """Return `sha256:<hex>` over the names and contents of all files of a model."""
    lines = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if name not in _ADDED_BY_DOWNLOAD:
            lines.update(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n".encode())
    return f"sha256:{lines.hexdigest()}"


def identify(folder: Path, environment: Mapping[str, str]) -> Identity:
    """Return what the model in `folder` is.

    The run comes from the artefacts. Name and version come from MODEL_NAME and MODEL_VERSION only when MODEL_RUN_ID
    names that same run: somebody may have changed the path and left the annotations.
    """
    run_id = str(_read(folder / "MLmodel").get("run_id") or "")
    registered = _read(folder / "registered_model_meta")
    name, version = str(registered.get("model_name") or ""), str(registered.get("model_version") or "")
    if environment.get("MODEL_RUN_ID", "") == run_id:
        name = environment.get("MODEL_NAME") or name
        version = environment.get("MODEL_VERSION") or version
    return Identity(name=name, version=version, run_id=run_id, digest=digest(folder))


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found = yaml.safe_load(file.read_text())
    return found if isinstance(found, dict) else {}
