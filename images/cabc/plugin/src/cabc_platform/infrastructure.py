"""`infrastructure`: what was done to the cluster, from its own namespace or from the file beside the state."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from cabc.document.base import Slug
from cabc.document.interfaces import Extracting
from cabc.interfaces.base import Connection, ExtractError, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.beneath import read_beneath
from cabc.interfaces.connections import KubernetesConnection, Network, OptionalPath
from cabc.interfaces.extraction import extract
from cabc.interfaces.guarded import GuardedPlugin
from cabc.interfaces.kubernetes import access
from cabc.interfaces.structured import parse_json
from pydantic import AwareDatetime, model_validator

from cabc_platform.chain import Document, faults_of, instant, read

__all__ = ["InfrastructureConnection", "InfrastructureInterface", "InfrastructurePlugin"]

Query = Literal["latest", "at", "drift", "images", "served", "chain"]

_LABEL = "oss-mlops-platform/evidence"
_KEY = "document.json"


class InfrastructureInterface(Extracting):
    """An answer from the evidence of the infrastructure, of which one place is the value."""

    kind: Literal["infrastructure"]
    connection: Slug
    query: Query
    """What is asked."""
    time: AwareDatetime | None = None
    """The instant of query `at`."""

    @model_validator(mode="after")
    def _time_for_at(self) -> InfrastructureInterface:
        if (self.query == "at") != (self.time is not None):
            msg = "`time` belongs to the query `at`, and to no other"
            raise ValueError(msg)
        return self


class InfrastructureConnection(Connection):
    """The cluster's namespace of evidence, or a file of it."""

    kind: Literal["infrastructure"]
    max_bytes: int = 32_000_000
    """All documents that the cluster keeps are read, so that their chain can be checked."""
    file: OptionalPath = None
    """File that `mlops` keeps beside the state, in place of a cluster; no link to it is followed."""
    kubeconfig: OptionalPath = None
    """Kubeconfig file; the usual one when not given."""
    context: str | None = None
    """Context of the kubeconfig; its current one when not given."""
    in_cluster: bool = False
    """Use the service account of the Pod that the auditor runs in."""
    network: Network = "internal"
    """Which addresses the API server may have."""
    namespace: Slug = "infrastructure-evidence"

    @model_validator(mode="after")
    def _one_place(self) -> InfrastructureConnection:
        if self.file is not None and (self.in_cluster or self.kubeconfig or self.context):
            msg = "give either `file` or the way to a cluster"
            raise ValueError(msg)
        return self

    def cluster(self) -> KubernetesConnection:
        """Return the way to the API server."""
        keys = ("max_concurrent", "timeout", "max_bytes", "redact", "kubeconfig", "context", "in_cluster", "network")
        told = {key: getattr(self, key) for key in keys}
        return KubernetesConnection.model_validate({"kind": "kubernetes", **told})


class InfrastructurePlugin(GuardedPlugin):
    """Read all documents, check their chain, answer the question; the answer is the evidence."""

    kind: ClassVar[str] = "infrastructure"
    spec: ClassVar[type[InfrastructureInterface]] = InfrastructureInterface
    connection: ClassVar[type[InfrastructureConnection]] = InfrastructureConnection

    async def retrieve(
        self, spec: InfrastructureInterface, connection: InfrastructureConnection, subject: SubjectFacts
    ) -> Retrieved:
        del subject
        documents = read(await self.texts(connection))
        faults = faults_of(documents)
        now = dt.datetime.now(dt.UTC)
        if spec.query == "chain":
            answer: dict[str, Any] = {"holds": not faults, "documents": len(documents), "faults": faults[:20]}
        elif faults:
            msg = f"the evidence does not hold: {faults[0]}"
            raise RetrieveError(msg)
        elif spec.query == "at":
            answer = _operation(documents, instant(spec.time), now)
        else:
            answer = _ANSWERS[spec.query](documents, now)
        body = json.dumps(answer, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        return Retrieved(body, "application/json", f"query {spec.query} of connection {spec.connection}")

    def extract(self, spec: InfrastructureInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:
        del details
        return extract(spec, body, media_type)

    async def texts(self, connection: InfrastructureConnection) -> list[str]:
        """Return the documents as they are kept, unread and in no order."""
        if connection.file is not None:
            folder, name = os.path.split(connection.file)
            content = await asyncio.to_thread(read_beneath, folder, name, connection.max_bytes)
            # A last line without its end is one that is being written.
            return content.decode(errors="replace").split("\n")[:-1]
        http, identity = await asyncio.to_thread(access, connection.cluster())
        path = f"/api/v1/namespaces/{connection.namespace}/configmaps"
        answer = await self._client.get(http, path, query={"labelSelector": _LABEL}, identity=identity)
        try:
            return [str(each["data"][_KEY]) for each in parse_json(answer.body)["items"]]
        except (ExtractError, KeyError, TypeError) as error:
            msg = f"a ConfigMap with label {_LABEL} has no {_KEY}"
            raise RetrieveError(msg) from error


def _operation(documents: list[Document], when: dt.datetime, now: dt.datetime) -> dict[str, Any]:
    found = [each for each in documents if each.body["kind"] == "update" and _ended(each) <= when]
    if not found:
        msg = f"no operation had ended by {when.isoformat()}"
        raise RetrieveError(msg)
    return _told(found[-1], now)


def _latest(documents: list[Document], now: dt.datetime) -> dict[str, Any]:
    return _told(_last(documents, lambda body: body["kind"] == "update", "no operation is recorded"), now)


def _told(found: Document, now: dt.datetime) -> dict[str, Any]:
    return {"digest": found.digest, "document": found.body, "ageSeconds": _age(_ended(found), now)}


def _drift(documents: list[Document], now: dt.datetime) -> dict[str, Any]:
    found = _last(documents, lambda body: body["kind"] == "drift", "cluster and state were never compared")
    told, checked = found.body["drift"], found.body["recorded"]["at"]
    items = told["open"]["items"]
    return {
        "digest": found.digest,
        "checked": checked,
        "ageSeconds": _age(instant(checked), now),
        "open": told["objects"],
        "objects": [each["object"] or each["name"] for each in items],
        "longestOpenSeconds": max((_age(instant(each["since"]), now) for each in items), default=0),
    }


def _images(documents: list[Document], now: dt.datetime) -> dict[str, Any]:
    del now
    found = _last(documents, lambda body: bool(body.get("images")), "no document names images")
    items = found.body["images"]["items"]
    local = [each for each in items if each["origin"] == "built here"]
    return {
        "digest": found.digest,
        "images": items,
        "leftOut": found.body["images"]["leftOut"],
        "builtHere": len(local),
        "fromRegistries": len(items) - len(local),
        "unpinned": sum(each["origin"] != "built here" and not each["digest"] for each in items),
    }


def _served(documents: list[Document], now: dt.datetime) -> dict[str, Any]:
    found = _last(documents, lambda body: body.get("served") is not None, "no document names served models")
    return {
        "digest": found.digest,
        "models": found.body["served"]["items"],
        "ageSeconds": _age(instant(found.body["recorded"]["at"]), now),
    }


_ANSWERS: dict[str, Callable[[list[Document], dt.datetime], dict[str, Any]]] = {
    "latest": _latest,
    "drift": _drift,
    "images": _images,
    "served": _served,
}


def _last(documents: list[Document], fits: Callable[[dict[str, Any]], bool], otherwise: str) -> Document:
    for document in reversed(documents):
        if fits(document.body):
            return document
    raise RetrieveError(otherwise)


def _ended(document: Document) -> dt.datetime:
    return instant(document.body["update"]["ended"])


def _age(then: dt.datetime, now: dt.datetime) -> int:
    return max(0, int((now - then).total_seconds()))
