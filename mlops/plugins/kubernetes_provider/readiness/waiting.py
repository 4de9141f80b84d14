"""Wait for an object to be ready or gone: bounded, cancellable, telling the status as it changes."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from mlops.plugins.kubernetes_provider.client import Client, Resource, Watch
from mlops.plugins.kubernetes_provider.engine import Status
from mlops.plugins.kubernetes_provider.errors import (
    ApiError,
    CancelledError,
    NoSuchKindError,
    NotReadyError,
    UnreachableError,
)
from mlops.plugins.kubernetes_provider.objects import (
    ANNOTATIONS,
    annotation,
    dig,
    is_true,
    kind_of,
    name_of,
    namespace_of,
)
from mlops.plugins.kubernetes_provider.readiness import others, workloads
from mlops.plugins.kubernetes_provider.readiness.conditions import wait_for
from mlops.plugins.kubernetes_provider.readiness.problems import diagnose, pod_problems
from mlops.plugins.kubernetes_provider.readiness.verdict import Verdict, pending

__all__ = ["Waiter", "judge_for", "timeout_of"]

Judge = Callable[[dict[str, Any]], Verdict]

_READY_TIMEOUT = 600.0
_GONE_TIMEOUT = {"Namespace": 600.0, "Deployment": 600.0, "StatefulSet": 600.0, "DaemonSet": 600.0}
_GONE_DEFAULT = 300.0
_TICK = 0.5
_LOOK_AGAIN = 10.0
_DIAGNOSE_AFTER = 10.0
_RECHECKED = frozenset({"Service", "Ingress", "CustomResourceDefinition"})
"""Kinds whose readiness shows in other objects too: asked again at every tick."""


def judge_for(live: dict[str, Any], inputs: dict[str, Any], client: Client) -> Judge | None:
    """Return what judges an object, or None for a kind that is ready as soon as it exists."""
    if is_true(inputs, ANNOTATIONS.SKIP_AWAIT):
        return None
    expression = annotation(inputs, ANNOTATIONS.WAIT_FOR)
    if expression:
        return wait_for(expression)
    kind = kind_of(live)
    alone: dict[tuple[str, str], Judge] = {
        ("apps", "DaemonSet"): workloads.daemon_set,
        ("apps", "Deployment"): workloads.deployment,
        ("apps", "StatefulSet"): workloads.stateful_set,
        ("batch", "Job"): workloads.job,
        ("", "Namespace"): others.namespace,
        ("", "PersistentVolume"): others.volume,
        ("", "Pod"): workloads.pod,
        ("", "ReplicationController"): workloads.replication_controller,
        ("", "ResourceQuota"): others.quota,
    }
    with_others: dict[tuple[str, str], Callable[[dict[str, Any], Client], Verdict]] = {
        ("", "PersistentVolumeClaim"): others.claim,
        ("", "Service"): others.service,
        ("apiextensions.k8s.io", "CustomResourceDefinition"): others.crd,
        ("networking.k8s.io", "Ingress"): others.ingress,
    }
    key = (kind.group, kind.kind)
    if key in with_others:
        judge = with_others[key]
        return lambda found: judge(found, client)
    if key not in alone and os.environ.get("PULUMI_K8S_AWAIT_ALL") == "true":
        return wait_for("condition=Ready") if dig(live, "status", "conditions") else None
    return alone.get(key)


def timeout_of(given: float, inputs: dict[str, Any], default: float = _READY_TIMEOUT) -> float:
    """Return the seconds to wait: `customTimeouts`, else the annotation, else the default."""
    if given:
        return given
    try:
        return float(annotation(inputs, ANNOTATIONS.TIMEOUT_SECONDS)) or default
    except ValueError:
        return default


class Waiter:
    """Waits on behalf of one resource."""

    def __init__(self, client: Client, stop: threading.Event, status: Status) -> None:
        self._client = client
        self._stop = stop
        self._status = status

    def until_ready(
        self, resource: Resource, live: dict[str, Any], inputs: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        """Return the object once it is ready; raise NotReadyError with reasons when time is up or hope is lost."""
        judge = judge_for(live, inputs, self._client)
        if judge is None:
            return live
        deadline = time.monotonic() + timeout_of(seconds, inputs)
        diagnosis = time.monotonic() + _DIAGNOSE_AFTER
        verdict = pending("")
        with suppress(ApiError, NoSuchKindError, UnreachableError):
            verdict = judge(live)
        with _Feed(self._client, resource, live, self._stop) as feed:
            while not verdict.done:
                self._status.say(verdict.status)
                self._give_up(live, verdict, deadline)
                if time.monotonic() >= diagnosis:
                    diagnosis = time.monotonic() + _DIAGNOSE_AFTER
                    self._tell_problems(live)
                found = feed.next(min(_TICK, max(0.0, deadline - time.monotonic())))
                if found is None and kind_of(live).kind not in _RECHECKED:
                    continue
                live = self._same(found, live)
                with suppress(ApiError, NoSuchKindError, UnreachableError):  # an outage does not end the wait
                    verdict = judge(live)
        if verdict.status:
            self._status.say(verdict.status)
        return live

    def _give_up(self, live: dict[str, Any], verdict: Verdict, deadline: float) -> None:
        """Raise when waiting longer is of no use, not wanted or not allowed."""
        if verdict.hopeless:
            raise self._not_ready(live, f"Resource '{name_of(live)}' was created but failed to initialize", verdict)
        if self._stop.is_set():
            raise NotReadyError(str(CancelledError(name_of(live))), verdict.reasons, live)
        if time.monotonic() >= deadline:
            raise self._not_ready(live, f"'{name_of(live)}' timed out waiting to be Ready", verdict)

    @staticmethod
    def _same(found: Any, live: dict[str, Any]) -> dict[str, Any]:
        """Return the newer state of an object; raise where it is gone or another one took its place."""
        if found is None:
            return live
        if found is _GONE or dig(found, "metadata", "uid") != dig(live, "metadata", "uid"):
            message = f"'{name_of(live)}' was deleted while waiting for it to be Ready"
            raise NotReadyError(message, [], live)
        return dict(found)

    def _tell_problems(self, live: dict[str, Any]) -> None:
        problems = diagnose(live, self._client, logs=False)
        if problems:
            self._status.say(problems[-1], warning=True)

    def _not_ready(self, live: dict[str, Any], message: str, verdict: Verdict) -> NotReadyError:
        found = [*verdict.reasons, *diagnose(live, self._client)]
        return NotReadyError(message, list(dict.fromkeys(found)), live)

    def judged(self, live: dict[str, Any], inputs: dict[str, Any]) -> NotReadyError | None:
        """Look once whether an object is ready; return what is wrong with it. Definitions that exist are served."""
        if kind_of(live).kind == "CustomResourceDefinition":
            return None
        judge = judge_for(live, inputs, self._client)
        verdict = judge(live) if judge else None
        if verdict is None or verdict.done:
            return None
        message = f"Resource '{name_of(live)}' was created but failed to initialize"
        reasons = [*verdict.reasons, *(pod_problems(live) if kind_of(live).kind == "Pod" else [])]
        if kind_of(live).group in ("apps", "batch"):
            reasons += diagnose(live, self._client, logs=False)
        return NotReadyError(message, list(dict.fromkeys(reasons)), live)

    def until_gone(self, resource: Resource, live: dict[str, Any], inputs: dict[str, Any], seconds: float) -> None:
        """Return once an object, or another of its name, is all that is left; raise NotReadyError when time is up."""
        kind, uid = kind_of(live).kind, dig(live, "metadata", "uid")
        allowed = timeout_of(seconds, inputs, _GONE_TIMEOUT.get(kind, _GONE_DEFAULT))
        deadline = time.monotonic() + allowed
        with _Feed(self._client, resource, live, self._stop) as feed:
            while True:
                found = feed.next(_TICK)
                if found is _GONE or (isinstance(found, dict) and dig(found, "metadata", "uid") != uid):
                    return
                if isinstance(found, dict):
                    live = found
                if self._stop.is_set():
                    raise NotReadyError(str(CancelledError(name_of(live))), self._holding(live), live)
                if time.monotonic() >= deadline:
                    message = f'Timed out waiting for deletion of {kind} "{name_of(live)}"'
                    raise NotReadyError(message, self._holding(live), live)
                holding = self._holding(live)
                self._status.say(holding[0] if holding else f'Waiting for deletion of {kind} "{name_of(live)}"')

    def _holding(self, live: dict[str, Any]) -> list[str]:
        """Return what keeps an object from going away."""
        kind = kind_of(live).kind
        texts = [
            str(found.get("message"))
            for found in dig(live, "status", "conditions", default=[])
            if kind == "Namespace" and found.get("status") == "True" and found.get("message")
        ]
        finalizers = dig(live, "metadata", "finalizers", default=[])
        if finalizers:
            texts.append(f'{kind} "{name_of(live)}" still exists: waiting for finalizers {", ".join(finalizers)}')
        return texts


_GONE = object()


class _Feed:
    """The states of one object as they come: from a watch, and from a look now and then in case it broke.

    The watch begins after the version at hand, so nothing that happened meanwhile is missed.
    """

    def __init__(self, client: Client, resource: Resource, live: dict[str, Any], stop: threading.Event) -> None:
        self._client, self._resource, self._stop = client, resource, stop
        self._namespace, self._name = namespace_of(live), name_of(live)
        self._live = live
        self._found: queue.Queue[Any] = queue.Queue()
        self._watch: Watch | None = None
        self._closed = threading.Event()
        self._look = time.monotonic() + _LOOK_AGAIN

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, name=f"watch {self._name}", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._watch is not None:
            self._watch.close()

    def _read(self) -> None:
        while not self._closed.is_set() and not self._stop.is_set():
            try:
                self._watch = self._client.watch(self._resource, self._live, 300)
            except (ApiError, UnreachableError):
                if self._closed.wait(1.0):
                    return
                continue
            for event, found in self._watch:
                if event == "ERROR":
                    break
                self._found.put(_GONE if event == "DELETED" else found)
            self._live = {"metadata": {**self._live["metadata"], "resourceVersion": ""}}

    def next(self, seconds: float) -> Any:
        """Return the next state, the mark of an object that is gone, or None when nothing came in time."""
        if time.monotonic() >= self._look:
            self._look = time.monotonic() + _LOOK_AGAIN
            try:
                found = self._client.find(self._resource, self._namespace, self._name)
            except (ApiError, UnreachableError):
                return None
            return _GONE if found is None else found
        try:
            return self._found.get(timeout=seconds)
        except queue.Empty:
            return None
