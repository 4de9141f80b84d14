"""Ask a model server, once or all the time, and remember which version answered."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROBE", "Answer", "Report", "Traffic", "ask"]

PROBE = "probe-"
"""Begins the ids of requests that test a server and decide nothing; a client names its requests by the header Ce-Id."""

INTERVAL = 0.05
"""Seconds between two requests."""


@dataclass(frozen=True)
class Answer:
    """One answer, or why there was none."""

    version: str
    run_id: str
    failure: str | None
    body: Any = None


@dataclass
class Report:
    """What came back while requests were sent without a pause."""

    requests: int = 0
    seconds: float = 0.0
    by_version: dict[str, int] = field(default_factory=dict)
    sequence: list[str] = field(default_factory=list)
    """The versions in the order in which they were first seen after another one."""

    failures: list[str] = field(default_factory=list)


def ask(url: str, payload: Mapping[str, Any], client: httpx.Client | None = None) -> Answer:
    """Send one request, over a connection of its own unless a client is given.

    It is no case of anybody: the model monitor leaves out what has the id of a probe.
    """
    headers = {"ce-id": f"{PROBE}{uuid.uuid4()}"}
    post = client.post if client else partial(httpx.post, timeout=10)
    try:
        answer = post(url, json=payload, headers=headers)
    except httpx.HTTPError as error:
        return Answer("", "", f"{type(error).__name__}: {error}")
    version, run_id = answer.headers.get("x-model-version", ""), answer.headers.get("x-model-run-id", "")
    if answer.is_error:
        return Answer(version, run_id, f"HTTP {answer.status_code}: {answer.text[:200]}")
    return Answer(version, run_id, None, answer.json())


class Traffic:
    """Requests without a pause, in a thread: every other one over a kept connection, as clients of both kinds do."""

    def __init__(self, url: str, payload: Mapping[str, Any], interval: float = INTERVAL) -> None:
        self._url = url
        self._payload = payload
        self._interval = interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self._report = Report()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> Report:
        """End after the request under way; return what came back."""
        self._stopped.set()
        self._thread.join(timeout=30)
        return self._report

    def _run(self) -> None:
        started = time.monotonic()
        seen: Counter[str] = Counter()
        with httpx.Client(timeout=10) as kept:
            while not self._stopped.is_set():
                answer = ask(self._url, self._payload, kept if self._report.requests % 2 else None)
                self._report.requests += 1
                if answer.failure:
                    self._report.failures.append(f"after {time.monotonic() - started:.1f} s: {answer.failure}")
                else:
                    seen[answer.version] += 1
                    if self._report.sequence[-1:] != [answer.version]:
                        self._report.sequence.append(answer.version)
                self._stopped.wait(self._interval)
        self._report.by_version = dict(seen)
        self._report.seconds = round(time.monotonic() - started, 2)
