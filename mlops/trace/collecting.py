"""Ask the platform for everything that is known about one prediction, and keep the answers as they came."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from mlops.errors import OperationError, UsageError
from mlops.evidence.document import Entry
from mlops.loop.cluster import NOT_FOUND, Answer
from mlops.trace.collected import ARTEFACTS, EVIDENCE, MLMODEL, PREDICTION, RECORD, RUN, VERSION, Collected

__all__ = ["Services", "Sources", "collect"]

_API = "/api/2.0/mlflow"

_ARTEFACTS = "/api/2.0/mlflow-artifacts/artifacts"

_SCHEME = "mlflow-artifacts:/"

_LARGEST = 2 << 30
"""Bytes of a model's files that are read to compute its digest."""

_MOST = 10_000
"""Files of a model."""

SECONDS = 120


class Services(Protocol):
    """Whoever passes requests on to services inside the cluster."""

    def ask(self, url: str, path: str, *, query: Mapping[str, str] | None = None, timeout: float = SECONDS) -> Answer:
        """Return what a service says."""
        ...


@dataclass(frozen=True)
class Sources:
    """Where the answers are. A URL is None where the order form does not have the component."""

    services: Services
    prediction_log: str | None
    mlflow: str | None
    auditor: str | None
    export: Callable[[str], bytes]
    """Returns the signed archive of a subject's record."""

    evidence: Callable[[], Sequence[Entry]]
    """Returns what was recorded of the infrastructure."""


def collect(sources: Sources, request: str, *, stack: str) -> Collected:
    """Ask everybody. Raises UsageError for a request that the log does not have; all else that fails is noted."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    places = {
        "predictionLog": sources.prediction_log,
        "mlflow": sources.mlflow,
        "auditor": sources.auditor,
    }
    found = Collected({"request": request, "stack": stack, "collected": now, "places": places})
    with _noted(found, PREDICTION):
        found.put(PREDICTION, _prediction(sources, request))
    model, version = _model(found)
    with _noted(found, VERSION, RUN, MLMODEL, ARTEFACTS):
        _registered(sources, found, model, version)
    with _noted(found, RECORD):
        if sources.auditor is None:
            raise OperationError("the platform has no auditor")
        if not model:
            raise OperationError("the log does not say which model answered")
        found.files[RECORD] = sources.export(model)
    with _noted(found, EVIDENCE):
        entries = sources.evidence()
        if not entries:
            raise OperationError("nothing was recorded of the infrastructure")
        found.files[EVIDENCE] = "".join(f"{entry.text}\n" for entry in entries).encode()
    return found


@contextmanager
def _noted(found: Collected, *names: str) -> Iterator[None]:
    """Note why files are not there in place of failing: a hop that is missing is shown as missing."""
    try:
        yield
    except UsageError:
        raise
    except OperationError as error:
        found.missing.update({name: error.message for name in names if name not in found.files})


def _prediction(sources: Sources, request: str) -> Any:
    if sources.prediction_log is None:
        raise OperationError("the platform has no prediction log")
    answer = sources.services.ask(sources.prediction_log, f"/v1/predictions/{quote(request, safe='')}")
    if answer.status == NOT_FOUND:
        msg = f"the prediction log has no request {request!r}"
        raise UsageError(msg, fix=f"`GET {sources.prediction_log}/v1/requests` lists the last ones")
    return _json(answer, f"the prediction log {sources.prediction_log}")


def _model(found: Collected) -> tuple[str, str]:
    told = found.data(PREDICTION) or {}
    return str(told.get("model") or ""), str(told.get("version") or "")


def _registered(sources: Sources, found: Collected, model: str, version: str) -> None:
    if sources.mlflow is None:
        raise OperationError("the platform has no model registry")
    if not (model and version):
        raise OperationError("the log does not say which version answered")
    registry = _Registry(sources.services, sources.mlflow)
    kept = registry.get("model-versions/get", name=model, version=version)["model_version"]
    found.put(VERSION, kept)
    with _noted(found, RUN):
        found.put(RUN, registry.get("runs/get", run_id=str(kept["run_id"]))["run"])
    with _noted(found, MLMODEL, ARTEFACTS):
        address = registry.get("model-versions/get-download-uri", name=model, version=version)["artifact_uri"]
        if not str(address).startswith(_SCHEME):
            msg = f"the artefacts are at {address}, which the registry does not hand out"
            raise OperationError(msg)
        folder = str(address).removeprefix(_SCHEME).strip("/")
        listed = []
        for name, content in registry.files(folder):
            listed.append({"path": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
            if name == MLMODEL:
                found.files[MLMODEL] = content
        found.put(ARTEFACTS, listed)


@dataclass(frozen=True)
class _Registry:
    """MLflow, asked over HTTP."""

    services: Services
    url: str

    def get(self, method: str, **query: str) -> dict[str, Any]:
        """Return an answer. Raises OperationError for any that is none."""
        answer = self.services.ask(self.url, f"{_API}/{method}", query=query)
        found: dict[str, Any] = _json(answer, f"MLflow {self.url}")
        return found

    def files(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Give all files below a folder of artefacts, by their paths from there."""
        size = number = 0
        waiting = [""]
        while waiting:
            below = waiting.pop()
            for each in self._listed(f"{folder}/{below}".rstrip("/")):
                path = f"{below}/{each['path'].rpartition('/')[2]}".lstrip("/")
                if each.get("is_dir"):
                    waiting.append(path)
                    continue
                answer = self.services.ask(self.url, f"{_ARTEFACTS}/{folder}/{path}")
                if not answer.good:
                    msg = f"MLflow {self.url} does not hand out {path}: HTTP {answer.status}"
                    raise OperationError(msg)
                size, number = size + len(answer.content), number + 1
                if size > _LARGEST or number > _MOST:
                    msg = f"the model has more than {_LARGEST >> 30} GiB or {_MOST} files"
                    raise OperationError(msg)
                yield path, answer.content

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        answer = self.services.ask(self.url, _ARTEFACTS, query={"path": folder})
        found = _json(answer, f"MLflow {self.url}")
        return list(found.get("files") or [])


def _json(answer: Answer, who: str) -> Any:
    if not answer.good:
        msg = f"{who} answers with HTTP {answer.status}: {' '.join(answer.text.split())[:200]}"
        raise OperationError(msg)
    try:
        return answer.json()
    except ValueError as error:
        msg = f"{who} answers with something that is no JSON"
        raise OperationError(msg) from error
