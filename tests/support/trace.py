"""A prediction and everything around it: a record of a real auditor, a chain of evidence, the log's answer."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
from cabc.record.archive import export
from cabc.record.chain import draft
from cabc.record.database import DatabaseRecord, open_record
from cabc.record.keys import Keys
from cabc.record.types import Status, Verdict
from cabc_platform.documents import Document
from cabc_platform.trace.canonical import data_digest
from cabc_platform.trace.collecting import Sources

from mlops.errors import OperationError
from mlops.evidence.document import following
from mlops.loop.cluster import Answer
from mlops.trace.passing import Passing
from tests.support import cabc
from tests.support.http_backend import HttpBackend, Reply, Request

__all__ = [
    "ASKED",
    "FILES",
    "MODEL",
    "REQUEST",
    "Loopback",
    "Past",
    "log_server",
    "minute",
    "prediction",
    "registered",
    "registry_server",
    "sources",
    "truth",
]

MODEL = cabc.SUBJECT
REQUEST = "loop-0123456789ab"
IMAGE = "sha256:" + "e" * 64

FILES = {
    "MLmodel": b"run_id: 0123456789abcdef0123456789abcdef\nflavors: {}\n",
    "model.pkl": bytes(range(256)),
    "data/part.bin": b"\x00\xff",
}


def minute(number: int) -> dt.datetime:
    """Return an instant of the day that all of it happened on."""
    return dt.datetime(2024, 11, 30, 10, 0, tzinfo=dt.UTC) + dt.timedelta(minutes=number)


ASKED = minute(30)


def text(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def prediction(model: Mapping[str, str], *, truths: tuple[dict[str, Any], ...] = (), **changes: Any) -> dict[str, Any]:
    """Return what the prediction log answers about the request, of two rows."""
    rows = [
        {"row": 0, "inputs": {"income": 81.5, "loan": 120.0}, "output": [0.25, 0.75]},
        {"row": 1, "inputs": {"income": 1e-7, "loan": 12.0}, "output": [0.5, 0.5]},
    ]
    told = {
        "request_id": REQUEST,
        "service": "loan",
        "namespace": "models",
        "model": MODEL,
        "version": model["version"],
        "run_id": model["run_id"],
        "digest": model["digest"],
        "protocol": "v1",
        "at": ASKED.isoformat(),
        "answered_at": (ASKED + dt.timedelta(milliseconds=7)).isoformat(),
        "latency_ms": 7.0,
        "status": 200,
        "content_digest": data_digest(rows),
        "stored_at": ASKED.isoformat(),
        "object": None,
        "rows": rows,
        "truths": list(truths),
    }
    return {**told, **changes}


def truth(number: int, value: Any, *, superseded: bool = False) -> dict[str, Any]:
    """Return a label of the first row."""
    return {
        "id": number,
        "row": 0,
        "kind": "label",
        "value": value,
        "attributes": {"race": "a"},
        "at": text(minute(90 + number)),
        "received_at": text(minute(91 + number)),
        "source": "back office",
        "reviewer": "carol",
        "confidence": 0.9,
        "superseded": superseded,
        "delivery": f"d{number}",
    }


@dataclass
class Past:
    """What happened around the request: one version and one change of the infrastructure before, one of each after."""

    folder: Path
    model: Mapping[str, str]
    """Version, run id and digest of what answered."""

    chain: list[Document] = field(default_factory=list)

    def evidence(self) -> list[Document]:
        """Return two operations by two people, the first in force when the request came."""
        if not self.chain:
            self._operation(0, "ada", "a" * 40)
            self._served(10, self.model["version"], self.model["run_id"], self.model["digest"])
            self._drift(20)
            self._operation(60, "bob", "b" * 40)
            self._served(70, "9", "f" * 32, "sha256:" + "9" * 64)
        return self.chain

    def archive(self, subject: str) -> bytes:
        """Return the signed archive of a record in which the next version was suspended later."""
        if subject != MODEL:
            msg = f"the record knows no subject {subject!r}"
            raise OperationError(msg)
        with self.record(self.folder) as record:
            file = self.folder / "record.zip"
            file.unlink(missing_ok=True)
            export(record, None, file, keys=record.keys)
        return file.read_bytes()

    def record(self, folder: Path, *, url: str | None = None) -> DatabaseRecord:
        """Write the auditor's record anew in a folder, or into an empty database, and return it."""
        now = [minute(0)]
        for each in folder.glob("record.db*"):
            each.unlink()
        address = url or f"sqlite:///{folder / 'record.db'}"
        record = open_record(address, keys=Keys(folder / "keys"), clock=lambda: now[0])
        about = {"version": self.model["version"], "run_id": self.model["run_id"], "digest": self.model["digest"]}
        self._assess(record, now, 12, about, Status.CONDITIONAL)
        now[0] = minute(13)
        record.append([draft(cabc.waiver(created=minute(13), expires=minute(100)))])
        record.append([draft(cabc.waiver("w0", created=minute(13), expires=minute(14)))])
        other = {"version": "9", "run_id": "f" * 32, "digest": "sha256:" + "9" * 64}
        self._assess(record, now, 75, other, Status.SUSPENDED)
        return record

    def _assess(self, record: Any, now: list[dt.datetime], at: int, about: dict[str, str], status: Status) -> None:
        verdict = Verdict.NOT_SATISFIED
        name, when = f"a{at}", minute(at)
        now[0] = when
        facts = cabc.subject(registered_model=MODEL, **about)
        ask = cabc.trigger(f"t{at}", received=when)
        body = b'{"ratio":0.5}'
        record.put_document(MODEL, b"specification", "spec.yaml")
        record.append([draft(ask)])
        kept = cabc.evidence(body)
        record.put_evidence(kept, body)
        collected = cabc.collection(f"c{at}", body=body, trigger=ask, subject=facts, started=when, ended=when)
        record.append([draft(collected)])
        found = {"assessment": name, "verdict": verdict, "reason": "found 0.5, wanted at least 0.8"}
        record.append(
            [
                draft(cabc.observation(**found, evidence=[kept.digest]), subject=MODEL),
                draft(cabc.finding(**found), subject=MODEL),
                draft(
                    cabc.assessment(
                        name, collection=f"c{at}", subject=facts, trigger=ask, verdict=verdict, started=when, ended=when
                    )
                ),
                draft(cabc.status(status, assessment=name, since=when, version=about["version"])),
            ]
        )

    def _add(self, kind: str, at: int, facts: Mapping[str, Any]) -> None:
        recorded = {"at": text(minute(at)), "by": {"user": "ada", "host": "here"}, "command": "test"}
        told = {"stack": "local", "project": "small", "recorded": recorded, **facts}
        self.chain.append(following(self.chain, kind, told))

    def _operation(self, at: int, user: str, sha: str) -> None:
        update = {
            "number": at,
            "operation": "update",
            "started": text(minute(at)),
            "ended": text(minute(at + 1)),
            "result": "succeeded",
            "previewed": False,
            "appliedBy": {"user": user, "host": "here", "known": "ran mlops up"},
            "changes": {"create": 3},
        }
        commit = {"sha": sha, "dirty": False}
        self._add("update", at + 2, {"update": update, "commit": commit, "checks": [], "images": None, "served": None})

    def _served(self, at: int, version: str, run_id: str, digest: str) -> None:
        served = {
            "inferenceService": "models/loan",
            "model": MODEL,
            "version": version,
            "runId": run_id,
            "digest": digest,
            "storageUri": "s3://mlflow",
            "ready": True,
            "images": [{"reference": "localhost/oss-mlops-platform/python:ab", "digest": IMAGE}],
        }
        self._add("served", at, {"served": {"items": [served], "leftOut": 0}})

    def _drift(self, at: int) -> None:
        empty = {"items": [], "leftOut": 0}
        self._add("drift", at, {"drift": {"objects": 0, "open": empty, "resolved": empty}})


class Loopback:
    """Pass requests on as they are: the services of a test listen on loopback."""

    def ask(self, url: str, path: str, *, query: Mapping[str, str] | None = None, timeout: float = 30) -> Answer:
        """Return what a service says."""
        try:
            found = httpx.get(f"{url}{quote(path)}", params=query, timeout=timeout)
        except httpx.HTTPError as error:
            msg = f"{url} does not answer: {type(error).__name__}"
            raise OperationError(msg) from error
        return Answer(found.status_code, dict(found.headers), found.text, found.content)


def log_server(*known: Mapping[str, Any]) -> HttpBackend:
    """Return a prediction log that knows some requests."""

    def answer(request: Request) -> Reply:
        for told in known:
            if unquote(request.path) == f"/v1/predictions/{told['request_id']}":
                return Reply(json.dumps(told).encode())
        if request.path == "/v1/requests":
            wanted = request.query.get("model")
            return Reply(json.dumps([each for each in known if wanted in {None, each["model"]}]).encode())
        return Reply(b'{"detail":"not in the log"}', status=404)

    return HttpBackend(answer)


def registered() -> dict[str, str]:
    """Return the identity of the version that `registry_server` has."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    lines = "".join(f"{hashes[name]}  {name}\n" for name in sorted(FILES))
    digest = f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    return {"version": "3", "run_id": "0123456789abcdef0123456789abcdef", "digest": digest}


def registry_server(model: Mapping[str, str], files: Mapping[str, bytes] = FILES) -> HttpBackend:
    """Return a server that answers as MLflow does about one version."""
    root = "1/models/m-1/artifacts"
    version = {
        "name": MODEL,
        "version": model["version"],
        "run_id": model["run_id"],
        "creation_timestamp": 1732960000000,
        "tags": [
            {"key": "digest", "value": model["digest"]},
            {"key": "data.sha256", "value": "d" * 64},
            {"key": "code.version", "value": "c" * 40},
        ],
    }
    run = {
        "info": {"experiment_id": "1", "status": "FINISHED", "end_time": 1732960000000},
        "data": {"metrics": [{"key": "auc", "value": 0.81}], "params": [], "tags": []},
    }
    replies = {
        "/api/2.0/mlflow/model-versions/get": {"model_version": version},
        "/api/2.0/mlflow/model-versions/get-download-uri": {"artifact_uri": f"mlflow-artifacts:/{root}"},
        "/api/2.0/mlflow/runs/get": {"run": run},
    }
    listed = {
        root: [{"path": "MLmodel"}, {"path": "model.pkl"}, {"path": "data", "is_dir": True}],
        f"{root}/data": [{"path": "part.bin"}],
    }
    artefacts = "/api/2.0/mlflow-artifacts/artifacts"

    def answer(request: Request) -> Reply:
        if request.path == artefacts:
            return Reply(json.dumps({"files": listed[request.query["path"]]}).encode())
        if request.path.startswith(f"{artefacts}/{root}/"):
            return Reply(files[request.path.removeprefix(f"{artefacts}/{root}/")])
        told = replies.get(request.path)
        return Reply(json.dumps(told).encode()) if told else Reply(status=404)

    return HttpBackend(answer)


def sources(past: Past, log: str | None, mlflow: str | None) -> Sources:
    """Return where the parts of a test's platform are."""
    return Sources(
        services=Passing(Loopback()),
        prediction_log=log,
        mlflow=mlflow,
        auditor="http://auditor.test:8080",
        export=past.archive,
        evidence=past.evidence,
    )
