"""`mlflow`: facts about the subject's model version and its run, and the digest of its artefact.

Everything is read over MLflow's REST API with the guarded client; MLflow's own client is not needed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from cabc.document.interfaces import MlflowInterface
from cabc.document.subject import SubjectSelector
from cabc.interfaces.artifacts import store_of
from cabc.interfaces.base import ExtractError, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.connections import MlflowConnection
from cabc.interfaces.extraction import cast, pointed
from cabc.interfaces.guarded import ANY, GuardedClient, GuardedPlugin, StatusError
from cabc.interfaces.parameters import fill_path
from cabc.interfaces.structured import parse_json
from cabc.text import one_line

__all__ = ["MlflowPlugin", "NoDigestError", "resolve_subject"]

_API = "/api/2.0/mlflow"
_RUN = re.compile(r"[0-9a-f]{32}")
_FIELDS = {
    "version": "version",
    "runId": "run_id",
    "status": "status",
    "stage": "current_stage",
    "source": "source",
    "aliases": "aliases",
}


class MlflowPlugin(GuardedPlugin):
    """Read the model version and its run once per run of the auditor; every fact comes from that one answer."""

    kind: ClassVar[str] = "mlflow"
    spec: ClassVar[type[MlflowInterface]] = MlflowInterface
    connection: ClassVar[type[MlflowConnection]] = MlflowConnection

    def __init__(self, client: GuardedClient | None = None) -> None:
        super().__init__(client)
        self._read: dict[tuple[str, ...], asyncio.Task[bytes]] = {}

    async def retrieve(self, spec: MlflowInterface, connection: MlflowConnection, subject: SubjectFacts) -> Retrieved:
        asked = [key for key in ("metric", "param", "tag", "field", "artifact") if getattr(spec, key) is not None]
        if len(asked) != 1:
            msg = "exactly one of metric, param, tag, field, artifact is wanted"
            raise RetrieveError(msg)
        origin = f"{asked[0]} {one_line(str(getattr(spec, asked[0])))} of connection {spec.connection}"
        if spec.artifact is not None:
            path = fill_path(spec.artifact, subject)
            query = {"path": path, "run_uuid": _run_of(subject)}
            answer = await self._client.get(connection, "/get-artifact", query=query, accept=ANY)
            return Retrieved(answer.body, "application/json", origin)
        key = (connection.url, subject.registered_model or "", subject.version or "", subject.run_id or "")
        if key not in self._read:
            self._read[key] = asyncio.create_task(_facts(self._client, connection, subject))
        body = await asyncio.shield(self._read[key])
        return Retrieved(body, "application/json", origin)

    def extract(self, spec: MlflowInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        document = parse_json(body)
        if spec.artifact is not None:
            return cast(pointed(document, spec.pointer or ""), spec.cast)
        try:
            return cast(_fact(spec, document), spec.cast)
        except (KeyError, TypeError, AttributeError) as error:
            msg = "the answer has not the shape of MLflow's REST API"
            raise ExtractError(msg) from error

    async def close(self) -> None:
        for task in self._read.values():
            task.cancel()
        await asyncio.gather(*self._read.values(), return_exceptions=True)
        await super().close()


def _run_of(subject: SubjectFacts) -> str:
    if subject.run_id is None or not _RUN.fullmatch(subject.run_id):
        msg = "the subject's model version has no run"
        raise RetrieveError(msg)
    return subject.run_id


async def _facts(client: GuardedClient, connection: MlflowConnection, subject: SubjectFacts) -> bytes:
    """Return model version and run as one canonical JSON document."""
    known: dict[str, Any] = {}
    if subject.registered_model and subject.version:
        query = {"name": subject.registered_model, "version": subject.version}
        known["model_version"] = (await _ask(client, connection, "/model-versions/get", query))["model_version"]
    if subject.run_id:
        known["run"] = (await _ask(client, connection, "/runs/get", {"run_id": _run_of(subject)}))["run"]
    if not known:
        msg = "the subject has neither a registered model nor a run; give `registeredModel` and `alias` in the document"
        raise RetrieveError(msg)
    return json.dumps(known, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def _ask(client: GuardedClient, connection: MlflowConnection, path: str, query: Mapping[str, str]) -> Any:
    answer = await client.get(connection, f"{_API}{path}", query=query)
    try:
        return parse_json(answer.body)
    except ExtractError as error:
        raise RetrieveError(str(error)) from error


def _fact(spec: MlflowInterface, document: dict[str, Any]) -> Any:
    version, data = document.get("model_version", {}), document.get("run", {}).get("data", {})
    if spec.field is not None:
        if not version:
            msg = "the subject has no model version"
            raise ExtractError(msg)
        return version.get(_FIELDS[spec.field], [] if spec.field == "aliases" else "")
    lists = {
        "tag": (version.get("tags", []), data.get("tags", [])),
        "param": (data.get("params", []),),
        "metric": (data.get("metrics", []),),
    }
    kind = next(kind for kind in lists if getattr(spec, kind) is not None)
    places, name = lists[kind], getattr(spec, kind)
    found = next((item["value"] for place in places for item in place if item["key"] == name), None)
    if found is None:
        names = sorted({item["key"] for place in places for item in place})
        msg = f"there is no such name as {one_line(name)!r}; there are {one_line(', '.join(names)) or 'none'}"
        raise ExtractError(msg)
    if spec.metric is not None and isinstance(found, str):
        msg = f"the metric is {one_line(found)}, which is no finite number"
        raise ExtractError(msg)
    return found


class NoDigestError(RetrieveError):
    """The version is known, its artefact cannot be read."""

    def __init__(self, known: SubjectFacts, reason: str) -> None:
        super().__init__(f"the artefact of version {known.version} cannot be read: {reason}")
        self.known = known


async def resolve_subject(
    selector: SubjectSelector, connection: MlflowConnection | None, client: GuardedClient | None = None
) -> SubjectFacts:
    """Read which version is audited now, its run, and the digest of its artefact.

    The digest is the SHA-256 of what `sha256sum` prints for all files of the model, sorted by path: one line
    `<sha256>  <path>` each. A copy of the model can be checked without us:
    `find * -type f | LC_ALL=C sort | xargs sha256sum | sha256sum`.
    """
    known = SubjectFacts(
        name=selector.name,
        registered_model=selector.registered_model,
        version=selector.version,
        inference_service=selector.inference_service,
    )
    if connection is None or selector.registered_model is None:
        return known
    own = client or GuardedClient()
    try:
        version = await _version(own, connection, selector)
        facts = known.model_copy(
            update={"version": version["version"], "run_id": version.get("run_id") or None, "source": version["source"]}
        )
        try:
            return facts.model_copy(update={"digest": await _digest(own, connection, version)})
        except RetrieveError as error:
            raise NoDigestError(facts, str(error)) from error
    except (KeyError, TypeError) as error:
        msg = "the answer has not the shape of MLflow's REST API"
        raise RetrieveError(msg) from error
    finally:
        if client is None:
            await own.close()


async def _version(client: GuardedClient, connection: MlflowConnection, selector: SubjectSelector) -> dict[str, Any]:
    name = str(selector.registered_model)
    if selector.version is not None:
        path, query = "/model-versions/get", {"name": name, "version": selector.version}
    elif selector.alias is not None:
        path, query = "/registered-models/alias", {"name": name, "alias": selector.alias}
    else:
        msg = f"the document names the model {one_line(name)!r} but neither `alias` nor `version`"
        raise RetrieveError(msg)
    try:
        version: dict[str, Any] = (await _ask(client, connection, path, query))["model_version"]
    except StatusError as error:
        if error.status in (400, 404):  # MLflow says 400 for an alias that is not there
            wanted = one_line(str(selector.version or selector.alias))
            msg = f"the registry has no version {wanted!r} of {name!r}: {error}"
            raise RetrieveError(msg) from error
        raise
    return version


async def _digest(client: GuardedClient, connection: MlflowConnection, version: dict[str, Any]) -> str:
    query = {"name": version["name"], "version": version["version"]}
    place = (await _ask(client, connection, "/model-versions/get-download-uri", query))["artifact_uri"]
    store = store_of(client, connection, place=place, source=version["source"], run=version.get("run_id", ""))
    lines, left = [], connection.max_artifact_bytes
    for path, _ in sorted(await store.files(), key=lambda file: file[0].encode()):
        digest = hashlib.sha256()
        async with store.open(path) as chunks:
            async for chunk in chunks:
                left -= len(chunk)
                if left < 0:
                    msg = f"the model is larger than {connection.max_artifact_bytes} bytes (the connection's limit)"
                    raise RetrieveError(msg)
                digest.update(chunk)
        lines.append(f"{digest.hexdigest()}  {path}\n")
    if not lines:
        msg = "the model version has no files, so there is nothing to audit"
        raise RetrieveError(msg)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"
