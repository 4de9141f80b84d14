"""The auditor, asked over its own HTTP interface."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from mlops.errors import OperationError
from mlops.loop.cluster import Answer, Cluster, place
from mlops.loop.ledger import StageError
from mlops.loop.service import Service

__all__ = ["FAILING", "Auditor"]

FAILING = frozenset({"not-satisfied", "error", "needs-review", "not-evaluated"})
"""Verdicts of a leaf or a requirement that are not `satisfied` although it applies."""

TOKENS = "cabc-auditor-tokens"
"""Secret in the auditor's namespace: one bearer token for each part that somebody can have in an audit."""

AUDITING_PARTY = "auditing-party"
"""The part of the loop: it reads evidence, asks for assessments and accepts failures for a time."""

EXPORT = """
import base64, pathlib, subprocess, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, "record.zip")
    done = subprocess.run(["cabc", "export", str(file), *sys.argv[1:]], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr or done.stdout)
    print(base64.b64encode(file.read_bytes()).decode())
"""
"""Run in the auditor's pod, which has the record, the keys and the command."""


class Auditor(Service):
    """The auditor's API, with the token that the cluster keeps for the auditing party."""

    name = "auditor"
    stage = "audit"
    direct = True

    def __init__(self, cluster: Cluster, url: str, collects: str | None = None) -> None:
        super().__init__(cluster, url)
        self._collects = collects or url
        """The process that is told what has to be looked at; the others do not take that."""

        self._token: str | None = None

    def headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.token()}"}

    def token(self) -> str:
        """Return the token. Raises StageError when the cluster has none."""
        if self._token is None:
            namespace = place(self.url)[0]
            found = self._cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{TOKENS}")
            coded = ((found or {}).get("data") or {}).get(AUDITING_PARTY, "")
            if not coded:
                subject = f"Secret {namespace}/{TOKENS}"
                raise StageError(self.stage, subject, f"has no key {AUDITING_PARTY}", fix="mlops up")
            self._token = base64.b64decode(coded).decode()
        return self._token

    def subject(self, name: str) -> dict[str, Any] | None:
        """Return a subject's status and what it is about, None when it is not audited here."""
        found: dict[str, Any] | None = self.get(f"/api/v1/subjects/{name}")
        return found

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the changes of a subject's status, the latest first."""
        found: list[dict[str, Any]] = self.get(f"/api/v1/subjects/{name}/history") or []
        return found

    def ask(self, name: str) -> str:
        """Ask for an assessment of everything; return the id of what will have caused it."""
        path = f"/api/v1/subjects/{name}/triggers"
        answer = self._cluster.ask_pod(self._collects, path, {}, headers=self.headers())
        if not answer.good:
            self.silent(path, answer)
        return str(answer.json()["id"])

    def assessments(self, name: str, limit: int = 20) -> list[dict[str, Any]]:
        """Return the latest assessments, the latest first."""
        found = self.get(f"/api/v1/subjects/{name}/assessments", limit=str(limit))
        return list(found["items"]) if found else []

    def leaves(self, name: str, assessment: str) -> list[dict[str, Any]]:
        """Return the outcomes at all leaves of an assessment."""
        return list(self._pages(f"/api/v1/subjects/{name}/assessments/{assessment}/observations"))

    def findings(self, name: str, assessment: str) -> list[dict[str, Any]]:
        """Return the outcomes of all requirements of an assessment."""
        return list(self._pages(f"/api/v1/subjects/{name}/assessments/{assessment}/findings"))

    def evidence(self, name: str, assessment: str, digest: str) -> bytes:
        """Return collected bytes. Raises StageError when they are not there."""
        path = f"/api/v1/subjects/{name}/assessments/{assessment}/evidence/{quote(digest, safe=':')}"
        answer = self._ask(path, None, {})
        if not answer.good:
            raise StageError(self.stage, self.subject_of(name), f"has lost evidence {digest}: HTTP {answer.status}")
        return answer.content

    def waive(self, name: str, requirement: str, *, reason: str, expires: str) -> dict[str, Any]:
        """Accept the failure of a requirement until an instant."""
        body = {"requirement": requirement, "reason": reason, "expires": expires}
        made: dict[str, Any] = self.post(f"/api/v1/subjects/{name}/waivers", body)
        return made

    def waivers(self, name: str) -> list[dict[str, Any]]:
        """Return all waivers of a subject, with `state` `in force` or `expired`."""
        found: list[dict[str, Any]] = self.get(f"/api/v1/subjects/{name}/waivers") or []
        return found

    def hook(self, name: str, body: Any, headers: Mapping[str, str]) -> Answer:
        """Send a message to a webhook as anybody could; return what the auditor says to it."""
        return self._cluster.ask(self._collects, f"/hooks/{name}", body, headers=headers)

    def export(self, name: str) -> bytes:
        """Return the signed archive of a subject's record, as `cabc export` writes it in the auditor's pod."""
        namespace, service, _ = place(self.url)
        found = self._cluster.get(f"/api/v1/namespaces/{namespace}/services/{service}")
        pods = self._cluster.pods_of(found) if found else []
        if not pods:
            raise StageError(self.stage, self.subject_of(name), f"has no running pod in namespace {namespace}")
        command = ["python3", "-c", EXPORT, "--subject", name]
        try:
            return base64.b64decode(self._cluster.execute(namespace, pods[0]["metadata"]["name"], command))
        except (OperationError, binascii.Error) as error:
            raise StageError(self.stage, self.subject_of(name), f"cannot be exported: {error}") from error

    def subject_of(self, name: str) -> str:
        """Name a subject as a source of facts."""
        return f"subject {name} of auditor {self.url}"

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        query: dict[str, str] = {"limit": "100"}
        while True:
            page = self.get(path, **query)
            if page is None:
                raise StageError(self.stage, f"auditor {self.url}", f"has nothing at {path}")
            yield from page["items"]
            if not page["next"]:
                return
            query["cursor"] = page["next"]
