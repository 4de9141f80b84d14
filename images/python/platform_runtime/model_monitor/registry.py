"""The versions' runs in MLflow: their profiles are read there and reports are kept there."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pydantic
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode

from platform_runtime.model_monitor.profile import PATH
from platform_runtime.model_monitor.reference import Profile

if TYPE_CHECKING:
    from platform_runtime.model_monitor.report import Report

__all__ = ["NoReferenceError", "Reference", "Registry", "RegistryError", "report_path"]

ABSENT = {ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)}
"""What MLflow says of a version that it has not, and of one that it can never have."""


class RegistryError(Exception):
    """MLflow does not answer, or says something that cannot be used."""


class NoReferenceError(Exception):
    """The version has no profile, or none that can be read. The text says why."""


@dataclass(frozen=True)
class Reference:
    """A version's run and its profile."""

    run_id: str
    profile: Profile


class Registry:
    """The registry at a tracking URI."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._client = mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        self._known: dict[tuple[str, str], Reference] = {}

    def reference(self, model: str, version: str) -> Reference:
        """Return a version's profile; it never changes, so it is read once.

        Raises NoReferenceError when there is none and RegistryError when nobody can tell.
        """
        if (model, version) not in self._known:
            self._known[model, version] = self._read(model, version)
        return self._known[model, version]

    def forget(self, current: set[tuple[str, str]]) -> None:
        """Keep only the profiles of these versions."""
        self._known = {key: found for key, found in self._known.items() if key in current}

    def store(self, report: Report) -> str:
        """Put a report beside the profile and return its path in the run. Raises RegistryError."""
        path = report_path(report)
        try:
            self._client.log_dict(report.run_id, report.model_dump(mode="json"), path)
        except (MlflowException, OSError) as error:
            msg = f"run {report.run_id}: {path} cannot be stored: {error}"
            raise RegistryError(msg) from error
        return path

    def _read(self, model: str, version: str) -> Reference:
        if not (model and version):
            # As of a server that knows nothing of MLflow; the registry is not asked for what has no name.
            msg = f"model {model or '(none)'} version {version or '(none)'} is not of the registry"
            raise NoReferenceError(msg)
        try:
            run_id = self._client.get_model_version(model, version).run_id
            if not run_id:
                msg = f"version {version} of {model} has no run that a profile could be in"
                raise NoReferenceError(msg)
            folder = str(Path(PATH).parent)
            if PATH not in {item.path for item in self._client.list_artifacts(run_id, folder)}:
                msg = f"run {run_id} of {model} version {version} has no {PATH}: the training step stores it"
                raise NoReferenceError(msg)
            with tempfile.TemporaryDirectory() as scratch:
                text = Path(self._client.download_artifacts(run_id, PATH, scratch)).read_text()
        except MlflowException as error:
            if error.error_code in ABSENT:
                msg = f"the registry has no version {version} of {model}"
                raise NoReferenceError(msg) from error
            msg = f"{self._uri}: {model} version {version}: {error}"
            raise RegistryError(msg) from error
        except OSError as error:
            msg = f"{self._uri}: {model} version {version}: {error}"
            raise RegistryError(msg) from error
        try:
            return Reference(run_id, Profile.from_json(json.loads(text)))
        except (ValueError, pydantic.ValidationError) as error:
            msg = f"run {run_id}: {PATH} is no profile: {error}"
            raise NoReferenceError(msg) from error


def report_path(report: Report) -> str:
    """Return where in the run a report is kept."""
    start, end = (f"{moment:%Y%m%dT%H%M%SZ}" for moment in (report.window.start, report.window.end))
    return f"monitoring/{start}-{end}.json"
