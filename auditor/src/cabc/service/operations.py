"""What operators and machines ask: is it alive, is it ready, what does it measure; and messages from webhooks."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response, Security
from starlette.concurrency import run_in_threadpool

from cabc.document.base import Model
from cabc.document.model import SubjectSelector
from cabc.errors import CabcError
from cabc.home import Webhook
from cabc.record.chain import draft
from cabc.record.types import Trigger
from cabc.service.access import Permission, Principal
from cabc.service.dependencies import StateOf, allowed
from cabc.service.problems import ProblemError
from cabc.service.state import State
from cabc.triggers.webhook import BODY_LIMIT, Named, WebhookError, named, verify

__all__ = ["Accepted", "Health", "router", "secret_of"]

router = APIRouter()
Check = Literal["ok", "failed"]


class Health(Model):
    """Whether the process can do its work."""

    status: Check
    checks: dict[str, Check] = {}


class Accepted(Model):
    """Which runs a message asked for."""

    triggers: list[str]
    """Ids; empty when the message named nothing that is audited here."""


@router.get("/healthz", tags=["operations"], summary="The process answers")
def healthz() -> Health:
    return Health(status="ok")


@router.get("/readyz", tags=["operations"], summary="Database, keys, documents and background work are usable")
def readyz(state: StateOf, response: Response) -> Health:
    checks: dict[str, Check] = {
        "database": _database(state),
        "keys": _keys(state),
        "documents": "failed" if state.documents.problems and not state.documents.subjects() else "ok",
        "work": "ok" if state.worker.healthy() else "failed",
    }
    ready = "failed" not in checks.values()
    # Told and not counted: a backend that is away is no reason to hide the pages that say so.
    checks["runs"] = "failed" if state.worker.failing() else "ok"
    response.status_code = 200 if ready else 503
    return Health(status="ok" if ready else "failed", checks=checks)


def _database(state: State) -> Check:
    try:
        state.record.subjects()
    except Exception:  # noqa: BLE001 (whatever it is, the database is not usable)
        return "failed"
    return "ok"


def _keys(state: State) -> Check:
    """The private key of every part that this process does must be there and readable."""
    roles = ("collect", "assess", "publish") if state.role == "all" else (state.role,)
    files = [state.home.keys / f"{role}.key" for role in roles]
    missing = [file for file in files if file.exists() and not os.access(file, os.R_OK)]
    return "failed" if missing or not _usable(state.home.keys) else "ok"


def _usable(folder: Path) -> bool:
    return not folder.exists() or os.access(folder, os.R_OK | os.X_OK)


@router.get("/metrics", tags=["operations"], summary="Prometheus metrics", response_class=Response)
def metrics(state: StateOf, caller: Annotated[Principal, Security(allowed(Permission.READ))]) -> Response:
    if "*" not in caller.subjects:
        raise ProblemError(403, "Metrics tell of every subject; this asks for a token without a limit of subjects.")
    state.metrics.documents.set(len(state.documents.problems))
    return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/hooks/{name}", tags=["hooks"], summary="Something changed", status_code=202)
async def hook(name: str, request: Request, state: StateOf) -> Accepted:
    """Take a message of a webhook: signed (`generic`, `mlflow`) or with the secret as bearer (`alertmanager`)."""
    state.part("collect")
    caller = request.client.host if request.client else "unknown"
    if wait := state.hook_limit.wait(caller):
        raise ProblemError(429, "Too many messages.", headers={"Retry-After": str(wait)})
    webhook = state.home.settings.service.webhooks.get(name)
    if webhook is None:
        raise ProblemError(401, "The signature is missing or wrong.")  # as for one that is there: names stay unknown
    body = await request.body()
    if len(body) > BODY_LIMIT:
        raise ProblemError(413, f"A message has at most {BODY_LIMIT} bytes.")
    try:
        accepted = await run_in_threadpool(_take, state, name, webhook, dict(request.headers), body)
    except WebhookError as error:
        state.metrics.hooks.labels(name, str(error.status)).inc()
        raise ProblemError(error.status, f"{error}.".capitalize()) from error
    state.metrics.hooks.labels(name, "202").inc()
    state.worker.wake()
    return accepted


def _take(state: State, name: str, webhook: Webhook, headers: dict[str, str], body: bytes) -> Accepted:
    now = state.now()
    fingerprint = verify(webhook.format, secret_of(webhook.secret), headers, body, now=now, replays=state.replays)
    found = named(webhook.format, body, _selectors(state, webhook))
    triggers = [_trigger(state, name, fingerprint, item, now) for item in found]
    try:
        entries = state.record.append([draft(trigger) for trigger in triggers]) if triggers else []
    except Exception:
        state.replays.forget(fingerprint)  # nothing was recorded, so the sender may try again
        raise
    bodies = [Trigger.model_validate_json(entry.body) for entry in entries if entry.body]
    if webhook.format != "alertmanager" and any(body.received != now for body in bodies):
        raise WebhookError("this message was taken already", 409)  # before a restart: the record remembers
    return Accepted(triggers=[trigger.id for trigger in triggers])


def _selectors(state: State, webhook: Webhook) -> list[SubjectSelector]:
    """Return the subjects that this webhook may name."""
    found = [state.documents.current(subject) for subject in state.documents.subjects()]
    subjects = [document.specification.subject for document in found if document]
    return [item for item in subjects if "*" in webhook.subjects or item.name in webhook.subjects]


def _trigger(state: State, name: str, fingerprint: str, item: Named, now: dt.datetime) -> Trigger:
    """Return the run that a message asks for; requirements that the document does not have are left out."""
    document = state.documents.current(item.subject)
    known = {node.path for node in document.requirements} if document else set()
    wanted = [path for path in item.requirements if path in known]
    if item.requirements and not wanted:
        raise WebhookError("the document has none of these requirements", 422)
    return Trigger(
        id=f"webhook-{fingerprint[:24]}",
        kind="webhook",
        source=name,
        subject=item.subject,
        received=now,
        requirements=wanted,
    )


def secret_of(reference: str) -> bytes:
    """Return the secret behind `env:NAME` or `file:PATH`; CabcError when there is none."""
    kind, _, place = reference.partition(":")
    try:
        value = os.environ.get(place, "") if kind == "env" else Path(place).read_text() if kind == "file" else ""
    except OSError:
        value = ""
    if not value.strip():
        msg = f"the webhook secret {kind}:... is not there"
        raise CabcError(msg, fix="Set the variable or file that service.webhooks names, as env:NAME or file:PATH.")
    return value.strip().encode()
