"""CloudEvents as the platform's model server and KServe's logger send them, and the form in which they wait.

The two events of one prediction have the same id, the client's `Ce-Id` or one of the sender's, and the time at which
each was seen. The model server sends them in batches, tries again, and tells the status. KServe's logger sends each
alone, an answer only when its status is 200, and never tries twice.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from platform_runtime.prediction_log.times import EARLIEST

__all__ = ["ANSWERED", "KINDS", "Event", "EventError", "from_http"]

KINDS = {
    "org.kubeflow.serving.inference.request": "request",
    "org.kubeflow.serving.inference.response": "response",
}
"""Types of events that make up a prediction."""

STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"

LONGEST = {"id": 200, "source": 1024, "type": 256, "time": 64}
"""Ids are other people's text: they are keys of the database."""

LONGEST_EXTENSION = 8192

ANSWERED = 200
"""Status of a good answer."""

STATUS = re.compile("[1-5][0-9]{2}")


class EventError(ValueError):
    """What came is no CloudEvent that could be kept. The text says what was found and wanted."""


@dataclass(frozen=True)
class Event:
    """One event. What is in its body is looked at later, by who has time."""

    id: str
    type: str
    source: str
    time: str
    """As it came; empty when it did not."""

    received: float
    """Seconds since 1970."""

    extensions: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def kind(self) -> str:
        """`request`, `response`, or `other`."""
        return KINDS.get(self.type, "other")

    @property
    def at(self) -> dt.datetime:
        """When the logger saw it; when we did, if it does not say, or says a time before 1970 or still to come."""
        received = dt.datetime.fromtimestamp(self.received, dt.UTC)
        try:
            said = dt.datetime.fromisoformat(self.time)
        except ValueError:
            return received
        said = said if said.tzinfo else said.replace(tzinfo=dt.UTC)
        return said if EARLIEST <= said <= received + dt.timedelta(hours=1) else received

    @property
    def service(self) -> str:
        """Name of the InferenceService."""
        return self.extensions.get("inferenceservicename", "")

    @property
    def namespace(self) -> str:
        """Namespace of the InferenceService."""
        return self.extensions.get("namespace", "")

    @property
    def status(self) -> int:
        """HTTP status of an answer; a sender that does not say it sends good ones only."""
        return int(self.extensions.get("status", ANSWERED))

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations of the InferenceService that its logger was told to send along."""
        try:
            found = orjson.loads(self.extensions.get("annotations") or "{}")
        except orjson.JSONDecodeError:
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

    def pack(self) -> bytes:
        """Return the event as bytes: a line of JSON, then the body."""
        head = {
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "time": self.time,
            "received": self.received,
            "extensions": self.extensions,
        }
        return orjson.dumps(head) + b"\n" + self.body

    @classmethod
    def unpack(cls, data: bytes) -> Event:
        """Return what `pack` was called on."""
        head, _, body = data.partition(b"\n")
        return cls(**orjson.loads(head), body=body)


def from_http(headers: list[tuple[bytes, bytes]], body: bytes, received: float) -> list[Event]:
    """Return the events that a request carries, in binary, structured or batch mode; raises EventError."""
    attributes: dict[str, str] = {}
    content_type = ""
    for name, value in headers:
        if name.startswith(b"ce-"):
            attributes[name[3:].decode("latin-1")] = _text(name, value)
        elif name == b"content-type":
            content_type = _text(name, value).partition(";")[0].strip().lower()
    # The content type of a prediction is its client's, who may say anything; the headers are the logger's.
    if "specversion" in attributes or content_type not in {STRUCTURED, BATCH}:
        return [_event(attributes, body, received)]
    try:
        found = orjson.loads(body)
    except ValueError as error:
        msg = f"CloudEvent: the body cannot be read ({error})"
        raise EventError(msg) from error
    if content_type == STRUCTURED:
        return [_event(*_structured(found), received)]
    if not isinstance(found, list):
        raise EventError("CloudEvents: a batch, but the body is no list")
    return [_event(*_structured(each), received) for each in found]


def _event(attributes: dict[str, str], body: bytes, received: float) -> Event:
    if attributes.get("specversion") != "1.0":
        msg = f"CloudEvent: specversion is {attributes.get('specversion', 'missing')}, wanted 1.0"
        raise EventError(msg)
    given = {name: attributes.pop(name, "") for name in LONGEST}
    for attribute, said in given.items():
        _check(attribute, said, LONGEST[attribute], needed=attribute != "time")
    for attribute, said in attributes.items():
        _check(attribute, said, LONGEST_EXTENSION, needed=False)
    if (status := attributes.get("status")) and not STATUS.fullmatch(status):
        msg = f"CloudEvent: status is {status[:20]}, wanted one of HTTP"
        raise EventError(msg)
    wanted = ("inferenceservicename", "namespace", "annotations", "status")
    extensions = {name: attributes[name] for name in wanted if attributes.get(name)}
    return Event(**given, received=received, extensions=extensions, body=body)


def _structured(found: Any) -> tuple[dict[str, str], bytes]:
    if not isinstance(found, dict):
        raise EventError("CloudEvent: the body is JSON, but no object")
    coded, data = found.pop("data_base64", None), found.pop("data", None)
    try:
        content = base64.b64decode(coded, validate=True) if isinstance(coded, str) else orjson.dumps(data)
    except ValueError as error:
        msg = f"CloudEvent: the body cannot be read ({error})"
        raise EventError(msg) from error
    return {str(key): value for key, value in found.items() if isinstance(value, str)}, content


def _text(name: bytes, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        msg = f"header {name.decode('latin-1')}: wanted UTF-8 ({error})"
        raise EventError(msg) from error


def _check(name: str, value: str, longest: int, *, needed: bool) -> None:
    if needed and not value:
        msg = f"CloudEvent: {name} is missing"
        raise EventError(msg)
    if len(value) > longest:
        msg = f"CloudEvent: {name} has {len(value)} characters, allowed are {longest}"
        raise EventError(msg)
    if not value.isprintable():
        msg = f"CloudEvent: {name} has characters that cannot be printed"
        raise EventError(msg)
