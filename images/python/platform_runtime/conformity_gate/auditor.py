"""The auditor, asked over its API with a reader's token; and asked, by a signed message, to assess."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from platform_runtime.conformity_gate.decision import Cause
from platform_runtime.conformity_gate.standing import Assessed, Standing, Status, Step, spans

__all__ = ["Auditor", "AuditorError", "Hook", "Subject"]

STEPS = 100
"""Changes of the status that are looked at."""

PAGE, PAGES = 100, 50
"""Assessments a page, and pages at most, that are searched for a complete one."""

TIMEOUT = 15

FAILING = frozenset({"not-satisfied", "error", "needs-review", "not-evaluated"})


class AuditorError(Exception):
    """The auditor does not answer, or not as its API says."""


@dataclass(frozen=True)
class Hook:
    """A webhook of the auditor that takes signed messages."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Subject:
    """What the auditor knows of one subject."""

    name: str
    model: str
    """Name in the registry."""
    service: str | None
    """`namespace/name` of the InferenceService; None when no assessment has named it."""
    audited: str | None
    """The version of the latest assessment."""
    steps: tuple[Step, ...]
    assessed: dict[str, Assessed]


@dataclass(frozen=True)
class _Walked:
    """Which assessments were read: from the newest back to an instant."""

    newest: str | None
    begin: dt.datetime


class Auditor:
    """One auditor. Assessments never change, so each is read once."""

    def __init__(self, url: str, token: str, hook: Hook, *, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT, transport=transport)
        self._bearer = {"Authorization": f"Bearer {token}"}
        self._hook = hook
        self._assessed: dict[str, dict[str, Assessed]] = {}
        self._causes: dict[str, Cause] = {}
        self._walked: dict[str, _Walked] = {}

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def subjects(self) -> list[str]:
        """Return the names of all subjects."""
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = self._get("/api/v1/subjects", limit=500, **({"cursor": cursor} if cursor else {}))
            try:
                found += [str(item["name"]) for item in page["items"]]
                cursor = page["next"]
            except (KeyError, TypeError) as error:
                msg = f"subjects: the answer has not the shape of the auditor's API ({type(error).__name__}: {error})"
                raise AuditorError(msg) from error
            if not cursor:
                return sorted(found)

    def subject(self, name: str) -> Subject:
        """Return the subject with the changes of its status and the assessments behind them."""
        try:
            known = self._assessed.setdefault(name, {})
            steps = self._steps(name)
            while True:
                self._know(name, steps, known)
                # An assessment that was found after the steps were read may have made another one.
                if (again := self._steps(name)) == steps:
                    break
                steps = again
            latest = self._get(f"/api/v1/subjects/{name}/assessments", limit=1)["items"]
            facts = latest[0]["subject"] if latest else {}
        except (KeyError, TypeError, ValueError, IndexError) as error:
            msg = f"subject {name}: the answer has not the shape of the auditor's API ({type(error).__name__}: {error})"
            raise AuditorError(msg) from error
        return Subject(
            name=name,
            model=facts.get("registeredModel") or name,
            service=facts.get("inferenceService"),
            audited=facts.get("version"),
            steps=tuple(steps),
            assessed=dict(known),
        )

    def cause(self, subject: str, standing: Standing) -> Cause:
        """Return what was found in the assessment behind a standing."""
        plain = Cause(standing.status.value, standing.assessment, standing.text)
        if standing.assessment is None:
            return plain
        key = f"{standing.assessment} {standing.status.value}"
        if key not in self._causes:
            self._causes[key] = self._found(subject, standing.assessment, plain)
        return self._causes[key]

    def ask(self, subject: str, now: dt.datetime) -> None:
        """Ask for an assessment of every requirement."""
        body = json.dumps({"subject": subject}).encode()
        stamp = str(int(now.timestamp()))
        signed = hmac.new(self._hook.secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Cabc-Timestamp": stamp,
            "X-Cabc-Signature": f"sha256={signed}",
        }
        try:
            answer = self._client.post(self._hook.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            msg = f"webhook {self._hook.url}: {type(error).__name__}: {error}"
            raise AuditorError(msg) from error
        # 409: this very message was taken already, by a gate that was killed before it could tell.
        if answer.is_error and answer.status_code != httpx.codes.CONFLICT:
            msg = f"webhook {self._hook.url}: HTTP {answer.status_code}: {answer.text[:200]}"
            raise AuditorError(msg)

    def _steps(self, name: str) -> list[Step]:
        return [_step(item) for item in self._get(f"/api/v1/subjects/{name}/history", limit=STEPS)]

    def _know(self, name: str, steps: list[Step], known: dict[str, Assessed]) -> None:
        """Read the assessments behind the steps, and the complete ones that confirmed a step without making one."""
        for step in steps:
            if step.assessment and step.assessment not in known:
                known[step.assessment] = _assessed(self._get(f"/api/v1/subjects/{name}/assessments/{step.assessment}"))
        lacking = [
            span.begin
            for span in spans(steps, known)
            if not any(step.assessment and known[step.assessment].complete for step in span.steps)
        ]
        if lacking:
            self._walk(name, min(lacking), known)

    def _walk(self, name: str, begin: dt.datetime, known: dict[str, Assessed]) -> None:
        """Read all assessments back to an instant; what was read once is not read again."""
        walked = self._walked.get(name)
        seen = walked.newest if walked and walked.begin <= begin else None
        newest, cursor = None, None
        for _ in range(PAGES):
            asked: dict[str, Any] = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
            page = self._get(f"/api/v1/subjects/{name}/assessments", **asked)
            found = [_assessed(item) for item in page["items"]]
            newest = newest or (found[0].id if found else None)
            known.update({each.id: each for each in found if each.complete})
            cursor = page["next"]
            if not cursor or found[-1].ended <= begin or seen in {each.id for each in found}:
                break
        self._walked[name] = _Walked(newest, walked.begin if walked and seen else begin)

    def _found(self, subject: str, assessment: str, plain: Cause) -> Cause:
        page = self._get(f"/api/v1/subjects/{subject}/assessments/{assessment}/findings", limit=500)
        try:
            failing = [item for item in page["items"] if item["verdict"] in FAILING]
            if plain.status in {Status.SUSPENDED, Status.REVOKED}:
                failing = [item for item in failing if not item["waiver"]] or failing
            risks = sorted({risk for item in failing for risk in item["risks"]})
            waivers = sorted({item["waiver"]["id"] for item in failing if item["waiver"]})
            requirements = tuple(item["requirement"] for item in failing)
        except (KeyError, TypeError) as error:
            msg = f"subject {subject}: findings of {assessment} have not the shape of the auditor's API ({error})"
            raise AuditorError(msg) from error
        return Cause(plain.status, plain.assessment, plain.text, requirements, tuple(risks), tuple(waivers))

    def _get(self, path: str, **query: Any) -> Any:
        try:
            answer = self._client.get(path, params=query, headers=self._bearer)
        except httpx.HTTPError as error:
            msg = f"GET {path}: {type(error).__name__}: {error}"
            raise AuditorError(msg) from error
        if answer.is_error:
            msg = f"GET {path}: HTTP {answer.status_code}: {answer.text[:200]}"
            raise AuditorError(msg)
        try:
            return answer.json()
        except ValueError as error:
            msg = f"GET {path}: the answer is no JSON: {answer.text[:100]}"
            raise AuditorError(msg) from error


def _step(item: dict[str, Any]) -> Step:
    return Step(
        since=dt.datetime.fromisoformat(item["since"]),
        status=Status(item["status"]),
        version=item["version"],
        assessment=item["assessment"],
        text=item["cause"] or "",
        actor=item["actor"] or "engine",
    )


def _assessed(item: dict[str, Any]) -> Assessed:
    facts = item["subject"]
    return Assessed(
        id=item["id"],
        version=facts["version"],
        digest=facts["digest"],
        complete=item["complete"],
        ended=dt.datetime.fromisoformat(item["ended"]),
    )
