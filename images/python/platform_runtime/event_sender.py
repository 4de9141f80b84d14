"""Tell the prediction log what a model server was asked and what it answered, without ever making an answer wait.

The events are those of KServe's logger (CloudEvents 1.0, one for the request, one for the answer, the same id), sent
in batches by the server itself: a logger in front of it loses requests while versions change, waits without a bound,
and knows neither the status of a refused request nor the id that a client needs to ask about its prediction.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import datetime as dt
import io
import json
import logging
import re
import uuid
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FLUSH_SECONDS", "Logged", "Sender", "Sending"]

EVENTS = Counter("model_log_events_total", "Events for the prediction log.", ["outcome"])
WAITING = Gauge("model_log_waiting_bytes", "Bytes of events that wait to be sent.")

MOST_WAITING = 32 << 20
"""Bytes that may wait; what comes then is dropped and counted. An outage of the log costs this much memory."""

LARGEST = 4 << 20
"""Bytes of a request or an answer above which neither is kept: the log takes no more."""

BATCH, BATCH_BYTES = 2000, 2 << 20
"""Events, and bytes of them, that are sent together at most."""

PAUSE = 1.0
"""Seconds until an event is sent, unless a batch is full before. A message costs a millisecond of the server's loop
however few events it has, and answers that come due meanwhile wait for it: with one message a second those are fewer
than one answer in a hundred. It is also how much a server that is killed hard has not told yet."""

BREATH = 0.05
"""Seconds between two messages where nothing waits for company."""

RETRY, LONGEST_RETRY = 0.5, 10.0

FLUSH_SECONDS = 10.0
"""How long a server that is to stop still tries to tell the prediction log what it answered."""

REFUSED = frozenset({400, 413, 422})
"""Statuses after which the same batch would be refused again."""

FAILED = 500
"""What a client is told of an exception that nobody caught."""

PREDICTION = re.compile(r"/v1/models/[^/]+:predict|/v2/models/[^/]+(/versions/[^/]+)?/infer")

TYPE = "org.kubeflow.serving.inference"

USABLE_ID = re.compile(r"[\x21-\x7e]{1,200}")

log = logging.getLogger("kserve")


@dataclass(frozen=True)
class Sending:
    """Where events go, and what all events of one server have in common."""

    url: str
    service: str
    namespace: str
    annotations: Mapping[str, str]
    """Who the model is, for a request whose answer does not say it."""


class Sender:
    """Holds events and sends them in the background; `put` never waits."""

    def __init__(self, sending: Sending, timeout: float = 10) -> None:
        self._sending = sending
        self._timeout = aiohttp.ClientTimeout(timeout)
        self._client: aiohttp.ClientSession | None = None  # made where its loop runs
        for outcome in ("sent", "dropped", "refused", "too large"):
            EVENTS.labels(outcome)
        self._common = _members(sending)
        self._waiting: deque[bytes] = deque()
        self._size = 0
        WAITING.set_function(lambda: self._size)
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._hurry = asyncio.Event()
        self._enough = asyncio.Event()

    def put(self, kind: str, request_id: str, at: dt.datetime, body: bytes, status: int | None = None) -> None:
        """Have one event sent, unless too much waits already."""
        event = self._event(kind, request_id, at, body, status)
        if self._size + len(event) > MOST_WAITING:
            EVENTS.labels("dropped").inc()
            return
        self._waiting.append(event)
        self._size += len(event)
        self._weigh()
        if self._task is None or self._task.done():
            self._idle.clear()
            self._task = asyncio.create_task(self._run(), name="prediction log")

    async def flush(self, seconds: float) -> None:
        """Send what waits now, as far as that is possible in this time."""
        self._hurry.set()
        self._weigh()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        self._hurry.clear()
        self._weigh()

    async def close(self, seconds: float) -> None:
        """Send what waits, as far as that is possible in this time, and nothing any more."""
        await self.flush(seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._client is not None:
            await self._client.close()

    def _weigh(self) -> None:
        """Keep `_enough` what it says: a batch is full, or somebody waits for what there is."""
        if len(self._waiting) >= BATCH or self._size >= BATCH_BYTES or self._hurry.is_set():
            self._enough.set()
        else:
            self._enough.clear()

    def _event(self, kind: str, request_id: str, at: dt.datetime, body: bytes, status: int | None) -> bytes:
        # By hand: an encoder of dictionaries takes three times as long, for every prediction.
        data = binascii.b2a_base64(body, newline=False).decode()
        told = "" if status is None else f'"status": "{status}", '
        return (
            f'{{"id": {json.dumps(request_id)}, "type": "{TYPE}.{kind}", "time": "{at.isoformat()}", {told}'
            f'{self._common}, "data_base64": "{data}"}}'
        ).encode()

    async def _run(self) -> None:
        """Send until nothing waits any more."""
        pause, most, fresh = RETRY, BATCH, True
        while self._waiting:
            # What a batch had no room for, and what is sent once more, has waited already.
            await (self._rest(PAUSE, self._enough) if fresh else asyncio.sleep(BREATH))
            batch = self._batch(most)
            all_of_it = len(batch) == len(self._waiting)
            outcome = await self._post(batch)
            fresh = False
            if outcome is None:
                await self._rest(pause, self._hurry)
                pause = min(2 * pause, LONGEST_RETRY)
                continue
            pause = RETRY
            if outcome == "refused" and len(batch) > 1:
                # Because of one of them, or because they are too much together.
                most = len(batch) // 2
                continue
            most, fresh = min(2 * most, BATCH), all_of_it
            EVENTS.labels(outcome).inc(len(batch))
            for _ in batch:
                self._size -= len(self._waiting.popleft())
            self._weigh()
        self._idle.set()

    async def _rest(self, seconds: float, sooner: asyncio.Event) -> None:
        """Wait, or go on sooner: then with just enough of a pause to let others work."""
        if sooner.is_set():
            await asyncio.sleep(BREATH)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await sooner.wait()

    def _batch(self, most: int) -> list[bytes]:
        """Return the oldest events that fit into one message, at least one."""
        found: list[bytes] = []
        size = 0
        for event in self._waiting:
            size += len(event)
            if found and (len(found) == most or size > BATCH_BYTES):
                break
            found.append(event)
        return found

    async def _post(self, batch: list[bytes]) -> str | None:
        """Send a batch; return `sent`, `refused` where the same would be refused again, or None: try once more."""
        headers = {"content-type": "application/cloudevents-batch+json"}
        # A file is sent in pieces, between which requests are answered.
        body = io.BytesIO(b"[" + b",".join(batch) + b"]")
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._client.post(
                self._sending.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if 200 <= answer.status < 300:  # noqa: PLR2004 (HTTP)
                    return "sent"
                told = await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:  # the last one is what some URLs meet
            log.warning("prediction log %s: %s", self._sending.url, type(error).__name__)
            return None
        log.warning("prediction log %s: HTTP %s: %s", self._sending.url, answer.status, told[:200])
        return "refused" if answer.status in REFUSED else None


def _members(sending: Sending) -> str:
    """Return what all events of one server have in common, as members of a JSON object."""
    common = {
        "specversion": "1.0",
        "source": sending.url,
        "inferenceservicename": sending.service,
        "namespace": sending.namespace,
        "annotations": json.dumps(dict(sending.annotations)),
    }
    return json.dumps(common)[1:-1]


class Logged:
    """ASGI middleware: every answer to a prediction carries an id, under which the sender tells the log of it.

    The id is the client's (`Ce-Id` or `X-Request-Id`), or a new one where it gave none that can be used.
    """

    def __init__(self, app: Any, sender: Sender) -> None:
        self._app = app
        self._sender = sender

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, self._until_told(receive), send)
        elif scope["type"] == "http" and scope["method"] == "POST" and PREDICTION.fullmatch(scope["path"]):
            await self._predict(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _until_told(self, receive: Any) -> Any:
        """Return a `receive` that lets the server stop when the log has been told of its last answers."""

        async def heard() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._sender.close(FLUSH_SECONDS)
            return message

        return heard

    async def _predict(self, scope: Any, receive: Any, send: Any) -> None:
        at = dt.datetime.now(dt.UTC)
        request_id = _id(dict(scope["headers"]))
        asked, answered = _Body(), _Body()
        status = 0

        async def heard() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                asked.add(message)
            return message

        async def told(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body":
                answered.add(message)
            await send(message)

        try:
            await self._app(scope, heard, told)
        except Exception:
            if not status and asked.complete:
                status, answered.complete = FAILED, True
            raise
        finally:
            if status and answered.complete:
                self._tell(request_id, at, asked, answered, status)

    def _tell(self, request_id: str, at: dt.datetime, asked: _Body, answered: _Body, status: int) -> None:
        # What was refused may be anything at all; that it was is worth a line, its body is not. Nor is the part of a
        # request that was read before it failed.
        both = asked.complete and not 400 <= status < 500  # noqa: PLR2004 (the client's mistakes)
        question = asked.content if both else b""
        answer = answered.content
        if question is None or answer is None:
            EVENTS.labels("too large").inc(2 if both else 1)
            return
        if both:
            self._sender.put("request", request_id, at, question)
        self._sender.put("response", request_id, dt.datetime.now(dt.UTC), answer, status)


class _Body:
    """A body as it passes; None once it is too large to be kept."""

    def __init__(self) -> None:
        self._parts: list[bytes] | None = []
        self._size = 0
        self.complete = False

    def add(self, message: Mapping[str, Any]) -> None:
        part = message.get("body", b"")
        self.complete = not message.get("more_body", False)
        self._size += len(part)
        if self._size > LARGEST:
            self._parts = None
        elif self._parts is not None:
            self._parts.append(part)

    @property
    def content(self) -> bytes | None:
        return None if self._parts is None else b"".join(self._parts)


def _id(headers: Mapping[bytes, bytes]) -> str:
    for name in (b"ce-id", b"x-request-id"):
        given = headers.get(name, b"").decode("latin-1")
        if USABLE_ID.fullmatch(given):
            return given
    return str(uuid.uuid4())
