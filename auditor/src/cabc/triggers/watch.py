"""Watch of InferenceServices: a new revision that serves is a reason to assess. The event names, no more."""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["InferenceServiceWatch", "KubernetesEvents", "revision_of"]

GROUP, VERSION, PLURAL = "serving.kserve.io", "v1beta1", "inferenceservices"
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
GONE = 410


class GoneError(Exception):
    """The server no longer has the place where the watch stopped; list again."""


class Events(Protocol):
    """Where events come from: the cluster, or a test."""

    def list(self) -> tuple[list[dict[str, Any]], str]:
        """Return all objects and the version of the list."""
        ...

    def watch(self, version: str) -> Iterator[Mapping[str, Any]]:
        """Give events behind that version until the server ends the stream; GoneError when it is too old."""
        ...

    def stop(self) -> None:
        """End the stream."""
        ...


def revision_of(service: Mapping[str, Any]) -> str | None:
    """Return what serves now, as one text; None while a new revision is on its way or failed."""
    status = service.get("status")
    status = status if isinstance(status, Mapping) else {}
    model = status.get("modelStatus")
    if not isinstance(model, Mapping) or model.get("transitionStatus") != "UpToDate":
        return None
    components = status.get("components")
    components = components if isinstance(components, Mapping) else {}
    ready = {
        str(name): str(component.get("latestReadyRevision") or component.get("latestCreatedRevision") or "")
        for name, component in components.items()
        if isinstance(component, Mapping)
    }
    if any(ready.values()):
        return ",".join(f"{name}={ready[name]}" for name in sorted(ready))
    # Without Knative there are no revisions; then what was asked for names the deployment.
    meta = service.get("metadata")
    generation = meta.get("generation") if isinstance(meta, Mapping) else None
    return f"generation={generation}" if generation is not None else None


@dataclass
class InferenceServiceWatch:
    """Calls `changed(service, fingerprint)` in a thread of its own when a watched one serves another revision."""

    events: Events
    services: Callable[[], Iterable[str]]
    """`namespace/name` of those that documents name."""
    changed: Callable[[str, str], None]
    report: Callable[[str, BaseException | None], None] = lambda _text, _error: None
    sleep: Callable[[float], Any] = asyncio.sleep
    _revisions: dict[str, str] = field(default_factory=dict)

    async def run(self, wake: Callable[[], None]) -> None:
        """Watch until cancelled; a lost server is asked again, ever more slowly."""
        pause, version, stop = FIRST_PAUSE, "", threading.Event()
        # It reads nearly all the time: in a pool that others use, a few watches would leave them nothing.
        thread = ThreadPoolExecutor(1, "cabc-watch")
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    version = await loop.run_in_executor(thread, self._follow, version, wake, stop)
                    pause = FIRST_PAUSE
                except GoneError:
                    version = ""
                except Exception as error:  # noqa: BLE001 (whatever the cluster answers, the watch goes on)
                    self.report("cannot watch InferenceServices", error)
                    version = ""
                    await self.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads clients, guards nothing)
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            stop.set()
            self.events.stop()
            thread.shutdown(wait=False)

    def _follow(self, version: str, wake: Callable[[], None], stop: threading.Event) -> str:
        """Read one stream to its end; return the place behind its last event."""
        if not version:
            objects, version = self.events.list()
            for each in objects:
                self._see(each, wake)
        for event in self.events.watch(version):
            if stop.is_set():
                break
            item: Any = event.get("object")
            if not isinstance(item, Mapping):
                continue
            if event.get("type") == "ERROR":
                if item.get("code") == GONE:
                    raise GoneError
                msg = f"the watch ended with {item.get('reason')}"
                raise RuntimeError(msg)
            meta = item.get("metadata")
            version = str(meta.get("resourceVersion", version)) if isinstance(meta, Mapping) else version
            if event.get("type") in {"ADDED", "MODIFIED"}:
                self._see(item, wake)
        return version

    def _see(self, service: Mapping[str, Any], wake: Callable[[], None]) -> None:
        meta = service.get("metadata")
        if not isinstance(meta, Mapping):
            return
        name = f"{meta.get('namespace')}/{meta.get('name')}"
        revision = revision_of(service)
        if name not in set(self.services()) or revision is None:
            return
        fingerprint = hashlib.sha256(f"{name} {meta.get('uid')} {revision}".encode()).hexdigest()
        if self._revisions.get(name) != fingerprint:
            # The record takes a trigger with this fingerprint once, so a restart does not assess everything again.
            self.changed(name, fingerprint)
            self._revisions[name] = fingerprint
            wake()


class KubernetesEvents:
    """Events of one namespace, or of all, of the cluster that this process runs in or of the current kubeconfig."""

    def __init__(self, namespace: str | None = None, *, seconds: int = 300) -> None:
        self.namespace = namespace
        self._seconds = seconds
        self._api: Any = None
        self._watch: Any = None

    def _asking(self) -> Callable[..., Any]:
        """Return what lists them; connected when first needed, so that a cluster that is away is tried again."""
        if self._api is None:
            from kubernetes import client, config

            told = client.Configuration()
            try:
                config.load_incluster_config(client_configuration=told)
            except config.ConfigException:
                config.load_kube_config(client_configuration=told)
            self._api = client.CustomObjectsApi(client.ApiClient(told))
        if self.namespace is None:
            everywhere: Callable[..., Any] = self._api.list_cluster_custom_object
            return everywhere
        # Not a partial: the watch reads in the docstring of what it calls how to read the answer.
        inside: Callable[..., Any] = self._api.list_namespaced_custom_object
        return inside

    def _what(self) -> tuple[str, ...]:
        return (GROUP, VERSION, *([self.namespace] if self.namespace is not None else []), PLURAL)

    def list(self) -> tuple[list[dict[str, Any]], str]:
        found = self._asking()(*self._what(), _request_timeout=30)
        return list(found["items"]), str(found["metadata"]["resourceVersion"])

    def watch(self, version: str) -> Iterator[Mapping[str, Any]]:
        from kubernetes import client
        from kubernetes import watch as watching

        self._watch = watching.Watch()
        try:
            yield from self._watch.stream(
                self._asking(),
                *self._what(),
                resource_version=version,
                timeout_seconds=self._seconds,
                _request_timeout=self._seconds + 30,
            )
        except client.ApiException as error:
            if error.status == GONE:
                raise GoneError from error
            raise

    def stop(self) -> None:
        if self._watch is not None:
            self._watch.stop()
