"""Messages from outside: whether one is genuine, and which names it holds. Nothing else in it is believed."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cabc.document.model import SubjectSelector

__all__ = ["BODY_LIMIT", "WINDOW", "Named", "Replays", "WebhookError", "named", "sign", "verify"]

Format = Literal["generic", "mlflow", "alertmanager"]
BODY_LIMIT = 256 * 1024
WINDOW = dt.timedelta(minutes=5)
"""How far the sender's time may be from ours, and how long a message is remembered."""
ALERTS = 200
"""Alerts in one message that are looked at."""


class WebhookError(Exception):
    """The message is not taken; the text is for the sender's log and says nothing of the secret."""

    def __init__(self, message: str, status: Literal[400, 401, 409, 422]) -> None:
        super().__init__(message)
        self.status = status


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the value of `X-Cabc-Signature`: HMAC-SHA256 over `timestamp.body`, in hexadecimal."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Replays:
    """Remembers messages while their time stamp would still be taken."""

    def __init__(self, *, most: int = 100_000) -> None:
        self._most = most
        self._seen: OrderedDict[str, dt.datetime] = OrderedDict()

    def first(self, message: str, now: dt.datetime) -> bool:
        """Remember a message; False when it is known. Full memory refuses what is new and forgets nothing."""
        while self._seen and next(iter(self._seen.values())) < now - 2 * WINDOW:
            self._seen.popitem(last=False)
        if message in self._seen or len(self._seen) >= self._most:
            return False
        self._seen[message] = now
        return True

    def forget(self, message: str) -> None:
        """Take it back: the message could not be recorded and may be sent again."""
        self._seen.pop(message, None)


def verify(
    kind: Format, secret: bytes, headers: Mapping[str, str], body: bytes, *, now: dt.datetime, replays: Replays
) -> str:
    """Return the message's fingerprint when it is genuine, recent and new; WebhookError otherwise.

    `headers` are looked up in lower case. Alertmanager cannot sign: its secret comes as a bearer token, so that a
    repeated message cannot be told from a repeated alert; within one window it has the same fingerprint.
    """
    if kind == "alertmanager":
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), secret):
            raise WebhookError("the bearer token is missing or wrong", 401)
        window = int(now.timestamp() // WINDOW.total_seconds())
        return hashlib.sha256(f"{window}.".encode() + body).hexdigest()
    stamp, signed = _mlflow(secret, headers, body) if kind == "mlflow" else _generic(secret, headers, body)
    if not signed:
        raise WebhookError("the signature is missing or wrong", 401)
    if not _recent(stamp, now):
        msg = f"the time stamp is missing or further than {WINDOW.seconds} s from now"
        raise WebhookError(msg, 401)
    # The signature covers time stamp and body, so it names the message; a resent body has a later time stamp.
    fingerprint = hashlib.sha256(stamp.encode() + b"." + body).hexdigest()
    if not replays.first(fingerprint, now):
        raise WebhookError("this message was taken already", 409)
    return fingerprint


def _generic(secret: bytes, headers: Mapping[str, str], body: bytes) -> tuple[str, bool]:
    stamp = headers.get("x-cabc-timestamp", "")
    given = headers.get("x-cabc-signature", "")
    return stamp, hmac.compare_digest(sign(secret, stamp, body).encode(), given.encode())


def _mlflow(secret: bytes, headers: Mapping[str, str], body: bytes) -> tuple[str, bool]:
    stamp = headers.get("x-mlflow-timestamp", "")
    delivery = headers.get("x-mlflow-delivery-id", "")
    content = f"{delivery}.{stamp}.".encode() + body
    wanted = hmac.new(secret, content, hashlib.sha256).digest()
    signed = False
    for part in headers.get("x-mlflow-signature", "").split():
        version, _, text = part.partition(",")
        try:
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        signed |= version == "v1" and hmac.compare_digest(wanted, given)
    return stamp, signed


def _recent(stamp: str, now: dt.datetime) -> bool:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= len("99999999999")):
        return False
    return abs(now.timestamp() - int(stamp)) <= WINDOW.total_seconds()


@dataclass(frozen=True, slots=True)
class Named:
    """A subject that a message names, and which of its requirements; none means all."""

    subject: str
    requirements: tuple[str, ...] = ()


def named(kind: Format, body: bytes, subjects: Iterable[SubjectSelector]) -> list[Named]:
    """Return what the message names among the subjects that are audited here; WebhookError when it cannot be read."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookError("the body is no JSON", 400) from error
    if not isinstance(message, dict):
        raise WebhookError("the body is no JSON object", 422)
    known = list(subjects)
    match kind:
        case "generic":
            return _names_of_generic(message, known)
        case "mlflow":
            return _names_of_mlflow(message, known)
        case "alertmanager":
            return _names_of_alerts(message, known)


def _names_of_generic(message: dict[str, Any], known: list[SubjectSelector]) -> list[Named]:
    subject, requirements = message.get("subject"), message.get("requirements", [])
    texts = isinstance(requirements, list) and all(isinstance(item, str) for item in requirements)
    if not isinstance(subject, str) or not texts or len(requirements) > ALERTS:
        raise WebhookError('the body must be {"subject": "…", "requirements": ["dimension/requirement", …]}', 422)
    return [Named(item.name, tuple(requirements)) for item in known if item.name == subject]


def _names_of_mlflow(message: dict[str, Any], known: list[SubjectSelector]) -> list[Named]:
    data = message.get("data")
    model = data.get("name") if isinstance(data, dict) else None
    if not isinstance(message.get("entity"), str) or not isinstance(model, str):
        raise WebhookError("the body is no message of the MLflow registry: entity and data.name are missing", 422)
    return [Named(item.name) for item in known if item.registered_model == model]


def _names_of_alerts(message: dict[str, Any], known: list[SubjectSelector]) -> list[Named]:
    alerts = message.get("alerts")
    if not isinstance(alerts, list):
        raise WebhookError("the body is no message of Alertmanager: alerts are missing", 422)
    found: dict[str, Named] = {}
    for alert in alerts[:ALERTS]:
        labels = alert.get("labels") if isinstance(alert, dict) else None
        if isinstance(labels, dict):
            found.update((item.name, Named(item.name)) for item in known if _labelled(item, labels))
    return list(found.values())


def _labelled(subject: SubjectSelector, labels: dict[str, Any]) -> bool:
    """Match `cabc_subject`, the registered model, or namespace and name of the InferenceService."""
    if labels.get("cabc_subject") == subject.name:
        return True
    models = {labels.get(name) for name in ("model", "model_name", "registered_model")}
    if subject.registered_model is not None and subject.registered_model in models:
        return True
    service = labels.get("inferenceservice") or labels.get("inference_service")
    place = labels.get("namespace") or labels.get("exported_namespace")
    return subject.inference_service is not None and subject.inference_service in {f"{place}/{service}", service}
