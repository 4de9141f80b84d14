"""Ask the platform for everything that is known about one prediction, and keep the answers as they came."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from cabc.errors import CabcError

from cabc_platform.documents import Document
from cabc_platform.trace.collected import ARTEFACTS, EVIDENCE, MLMODEL, PREDICTION, RECORD, RUN, VERSION, Collected
from cabc_platform.trace.errors import InputError, TraceError

__all__ = ["Services", "Sources", "collect"]

_API = "/api/2.0/mlflow"

_ARTEFACTS = "/api/2.0/mlflow-artifacts/artifacts"

_SCHEME = "mlflow-artifacts:/"

_LARGEST = 2 << 30
"""Bytes of a model's files that are read to compute its digest."""

_MOST = 10_000
"""Files of a model."""

_DESCRIPTION = 256 << 10
"""Bytes of a model's own description, the one file of it that is kept."""


class Services(Protocol):
    """Whoever passes requests on to services. Paths are plain text; quoting them is the way's own business."""

    def ask(self, url: str, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        """Return what a service says in JSON, None where it has nothing (404). Raises TraceError for all else."""
        ...

    def fetch(self, url: str, path: str, take: Callable[[bytes], object]) -> None:
        """Give the parts of a file to `take`, as they come. Raises TraceError."""
        ...


@dataclass(frozen=True)
class Sources:
    """Where the answers are. A URL is None where the platform does not have the component."""

    services: Services
    prediction_log: str | None
    mlflow: str | None
    auditor: str | None
    """Where people read the auditor's pages; empty for who reads there already."""

    export: Callable[[str], bytes]
    """Returns the signed archive of a subject's record."""

    evidence: Callable[[], Sequence[Document]]
    """Returns what was recorded of the infrastructure."""


def collect(
    sources: Sources, request: str, *, stack: str | None, permit: Callable[[str], None] = lambda _model: None
) -> Collected:
    """Ask everybody. Raises InputError for a request that the log does not have; all else that fails is noted.

    `permit` is told which model answered before anybody else is asked; what it raises ends the collecting.
    """
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
    permit(model)
    with _noted(found, VERSION, RUN, MLMODEL, ARTEFACTS):
        _registered(sources, found, model, version)
    with _noted(found, RECORD):
        if sources.auditor is None:
            raise TraceError("the platform has no auditor")
        if not model:
            raise TraceError("the log does not say which model answered")
        found.files[RECORD] = sources.export(model)
    with _noted(found, EVIDENCE):
        documents = sources.evidence()
        if not documents:
            raise TraceError("nothing was recorded of the infrastructure")
        found.files[EVIDENCE] = "".join(f"{document.text}\n" for document in documents).encode()
    return found


@contextmanager
def _noted(found: Collected, *names: str) -> Iterator[None]:
    """Note why files are not there in place of failing: a hop that is missing is shown as missing."""
    try:
        yield
    except InputError:
        raise
    except CabcError as error:
        found.missing.update({name: str(error) for name in names if name not in found.files})


def _prediction(sources: Sources, request: str) -> Any:
    if sources.prediction_log is None:
        raise TraceError("the platform has no prediction log")
    told = sources.services.ask(sources.prediction_log, f"/v1/predictions/{request}")
    if told is None:
        msg = f"the prediction log has no request {request!r}"
        raise InputError(msg, fix=f"`GET {sources.prediction_log}/v1/requests` lists the last ones")
    return told


def _model(found: Collected) -> tuple[str, str]:
    told = found.data(PREDICTION) or {}
    return str(told.get("model") or ""), str(told.get("version") or "")


def _registered(sources: Sources, found: Collected, model: str, version: str) -> None:
    if sources.mlflow is None:
        raise TraceError("the platform has no model registry")
    if not (model and version):
        raise TraceError("the log does not say which version answered")
    registry = _Registry(sources.services, sources.mlflow)
    kept = registry.get("model-versions/get", name=model, version=version)["model_version"]
    found.put(VERSION, kept)
    with _noted(found, RUN):
        found.put(RUN, registry.get("runs/get", run_id=str(kept["run_id"]))["run"])
    with _noted(found, MLMODEL, ARTEFACTS):
        address = registry.get("model-versions/get-download-uri", name=model, version=version)["artifact_uri"]
        if not str(address).startswith(_SCHEME):
            msg = f"the artefacts are at {address}, which the registry does not hand out"
            raise TraceError(msg)
        listed, description = registry.files(str(address).removeprefix(_SCHEME).strip("/"))
        if description is not None:
            found.files[MLMODEL] = description
        found.put(ARTEFACTS, listed)


class _Hashed:
    """Digest and size of a file that is not kept, or only while it is small."""

    def __init__(self, left: int, keep: int) -> None:
        self._sha256 = hashlib.sha256()
        self._left = left
        self._keep = keep
        self.size = 0
        self.content = b""

    def take(self, part: bytes) -> None:
        """Go on with a part. Raises TraceError where it is more than was left."""
        self._sha256.update(part)
        self.size += len(part)
        if self.size > self._left:
            msg = f"the model has more than {_LARGEST >> 30} GiB"
            raise TraceError(msg)
        if self.size <= self._keep:
            self.content += part

    @property
    def sha256(self) -> str:
        """Return the digest, hexadecimal."""
        return self._sha256.hexdigest()


@dataclass(frozen=True)
class _Registry:
    """MLflow, asked over HTTP."""

    services: Services
    url: str

    def get(self, method: str, **query: str) -> dict[str, Any]:
        """Return an answer. Raises TraceError for any that is none."""
        found: dict[str, Any] | None = self.services.ask(self.url, f"{_API}/{method}", query=query)
        if found is None:
            told = " ".join(query.values())
            msg = f"MLflow {self.url} has nothing for {method} of {told}"
            raise TraceError(msg)
        return found

    def files(self, folder: str) -> tuple[list[dict[str, Any]], bytes | None]:
        """Return name, digest and size of all files below a folder of artefacts, and the model's own description."""
        listed: list[dict[str, Any]] = []
        description: bytes | None = None
        waiting, left = [""], _LARGEST
        while waiting:
            below = waiting.pop()
            for each in self._below(f"{folder}/{below}".rstrip("/")):
                path = f"{below}/{each['path'].rpartition('/')[2]}".lstrip("/")
                if len(listed) + len(waiting) >= _MOST:
                    msg = f"the model has more than {_MOST} files"
                    raise TraceError(msg)
                if each.get("is_dir"):
                    waiting.append(path)
                    continue
                hashed = _Hashed(left, _DESCRIPTION if path == MLMODEL else 0)
                self.services.fetch(self.url, f"{_ARTEFACTS}/{folder}/{path}", hashed.take)
                left -= hashed.size
                listed.append({"path": path, "sha256": hashed.sha256, "size": hashed.size})
                if path == MLMODEL and len(hashed.content) == hashed.size:
                    description = hashed.content
        return listed, description

    def _below(self, folder: str) -> list[dict[str, Any]]:
        found = self.services.ask(self.url, _ARTEFACTS, query={"path": folder}) or {}
        return list(found.get("files") or [])
