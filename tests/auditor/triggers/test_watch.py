"""Watching InferenceServices: which change is a reason to assess, and what happens when the cluster goes away."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cabc.triggers.watch import GoneError, InferenceServiceWatch, KubernetesEvents, revision_of

from tests.support.http_backend import HttpBackend, Reply, Request


def service(
    revision: str | None = "scoring-00001", *, name: str = "scoring", state: str = "UpToDate"
) -> dict[str, Any]:
    component = {"latestReadyRevision": revision, "latestCreatedRevision": "scoring-00009"} if revision else {}
    return {
        "metadata": {"namespace": "credit", "name": name, "uid": "u1", "generation": 4, "resourceVersion": "7"},
        "status": {"modelStatus": {"transitionStatus": state}, "components": {"predictor": component}},
    }


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (service(), "predictor=scoring-00001"),
        (service(state="InProgress"), None),
        (service(state="BlockedByFailedLoad"), None),
        (service(None), "generation=4"),  # without Knative there are no revisions
        ({"metadata": {}}, None),
        ({"status": "broken"}, None),
        ({"status": {"modelStatus": {"transitionStatus": "UpToDate"}, "components": []}, "metadata": None}, None),
    ],
)
def test_what_serves_now(given: dict[str, Any], wanted: str | None) -> None:
    assert revision_of(given) == wanted


@dataclass
class Cluster:
    """Streams in the order in which they are asked for; an exception is raised in place of a stream."""

    lists: list[list[dict[str, Any]]]
    streams: list[list[Mapping[str, Any]] | Exception]
    versions: list[str] = field(default_factory=list)
    listed: int = 0
    idle: threading.Event = field(default_factory=threading.Event)
    stopped: threading.Event = field(default_factory=threading.Event)

    def list(self) -> tuple[list[dict[str, Any]], str]:
        self.listed += 1
        return self.lists.pop(0) if self.lists else [], f"v{self.listed}"

    def watch(self, version: str) -> Iterator[Mapping[str, Any]]:
        self.versions.append(version)
        if not self.streams:
            self.idle.set()
            self.stopped.wait(10)
            return
        stream = self.streams.pop(0)
        if isinstance(stream, Exception):
            raise stream
        yield from stream

    def stop(self) -> None:
        self.stopped.set()


def watched(cluster: Cluster) -> tuple[list[str], list[float], list[str]]:
    """Run a watch until the cluster has no more to tell; return what changed, the pauses, the reports."""
    changed: list[tuple[str, str]] = []
    pauses: list[float] = []
    told: list[str] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def run() -> None:
        watch = InferenceServiceWatch(
            cluster,
            lambda: ["credit/scoring"],
            lambda name, fingerprint: changed.append((name, fingerprint)),
            lambda text, error: told.append(f"{text}: {error}"),
            sleep,
        )
        task = asyncio.create_task(watch.run(lambda: None))
        await asyncio.to_thread(cluster.idle.wait, 10)
        cluster.stopped.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert len(set(changed)) == len(changed)
    return [name for name, _ in changed], pauses, told


def event(kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": item}


def test_only_a_new_revision_that_serves_counts() -> None:
    cluster = Cluster(
        [[service(), service(name="other")]],
        [
            [
                event("MODIFIED", service()),  # nothing new
                event("MODIFIED", service("scoring-00002", state="InProgress")),
                event("MODIFIED", service("scoring-00002")),
                event("MODIFIED", service("scoring-00002")),
                event("ADDED", service("x", name="other")),  # no document names it
                event("DELETED", service("scoring-00003")),
                event("BOOKMARK", {"metadata": {"resourceVersion": "9"}}),
            ]
        ],
    )
    changed, pauses, _ = watched(cluster)
    assert changed == ["credit/scoring"] * 2
    assert pauses == []
    assert cluster.versions == ["v1", "9"]  # goes on where the stream ended
    assert cluster.listed == 1


def test_a_place_that_is_gone_is_listed_again() -> None:
    gone = event("ERROR", {"code": 410, "reason": "Expired"})
    cluster = Cluster([[service()], [service("scoring-00002")]], [[gone], GoneError()])
    changed, pauses, told = watched(cluster)
    assert changed == ["credit/scoring"] * 2
    assert pauses == []
    assert told == []
    assert cluster.listed == 3


def test_a_cluster_that_is_away_is_asked_ever_more_slowly() -> None:
    away = [ConnectionError("away") for _ in range(9)]
    changed, pauses, told = watched(Cluster([[service()]], [*away, [event("MODIFIED", service("scoring-00002"))]]))
    assert changed == ["credit/scoring"] * 2
    assert len(told) == len(pauses) == 9
    assert all(
        low <= pause <= high for pause, low, high in zip(pauses, (0.5, 1, 2, 4, 8), (1, 2, 4, 8, 16), strict=False)
    )
    assert max(pauses) <= 60


@pytest.mark.parametrize(
    ("namespace", "path"),
    [
        (None, "/apis/serving.kserve.io/v1beta1/inferenceservices"),
        ("models", "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices"),
    ],
)
def test_only_what_is_to_be_watched_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str | None, path: str
) -> None:
    """A right to the whole cluster is needed by who watches the whole cluster, and by nobody else."""

    def answer(request: Request) -> Reply:
        if "watch" in request.query:
            return Reply(json.dumps(event("MODIFIED", service())).encode() + b"\n")
        return Reply(json.dumps({"metadata": {"resourceVersion": "7"}, "items": [service()]}).encode())

    with HttpBackend(answer) as backend:
        config = {
            "clusters": [{"name": "c", "cluster": {"server": backend.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "config").write_text(json.dumps(config))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
        events = KubernetesEvents(namespace)
        assert events.list() == ([service()], "7")
        assert next(iter(events.watch("7")))["object"] == service()
        events.stop()
    assert {request.path for request in backend.requests} == {path}


def test_any_number_of_watches_leaves_room_for_work() -> None:
    """A watch keeps a thread for as long as it runs; those that others are to use stay free."""

    async def run() -> str:
        loop = asyncio.get_running_loop()
        clusters = [Cluster([], []) for _ in range(40)]
        tasks = [
            loop.create_task(InferenceServiceWatch(cluster, list, lambda _name, _print: None).run(lambda: None))
            for cluster in clusters
        ]
        with ThreadPoolExecutor(1) as waiting:
            for cluster in clusters:
                assert await loop.run_in_executor(waiting, cluster.idle.wait, 10)
        worked = await asyncio.to_thread(lambda: "worked")
        for cluster, task in zip(clusters, tasks, strict=True):
            cluster.stopped.set()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return worked

    assert asyncio.run(asyncio.wait_for(run(), 30)) == "worked"
