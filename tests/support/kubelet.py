"""Plays the kubelet of an API server without nodes: writes what one would into the status of Pods."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import suppress
from typing import Any, Self

from tests.support.apiserver import ApiServer

__all__ = ["Kubelet"]

NODE = "node-1"


class Kubelet:
    """Give Pods the status that the label `test/fate` of their template asks for.

    ready (also without a label): running and ready; succeed, fail: ended; pull: an image that cannot be pulled;
    unscheduled: no node fits; never: nothing happens.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet", daemon=True)

    def __enter__(self) -> Self:
        if self._server.find(f"/api/v1/nodes/{NODE}") is None:
            self._server.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            with suppress(OSError, ValueError):
                for pod in self._server.get("/api/v1/pods")["items"]:
                    self._tend(pod)

    def _tend(self, pod: dict[str, Any]) -> None:
        fate = pod["metadata"].get("labels", {}).get("test/fate", "ready")
        wanted = _status(fate, pod["spec"]["containers"])
        meta, phase = pod["metadata"], pod["status"].get("phase", "Pending")
        place = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if meta.get("deletionTimestamp"):
            self._server.request("DELETE", place, {"gracePeriodSeconds": 0})
            return
        told = any(item["type"] in ("Ready", "PodScheduled") for item in pod["status"].get("conditions", []))
        if wanted is None or (phase == wanted["phase"] and told):
            return
        if fate != "unscheduled" and not pod["spec"].get("nodeName"):
            binding = {"metadata": {"name": meta["name"]}, "target": {"kind": "Node", "name": NODE}}
            self._server.create(f"{place}/binding", {"apiVersion": "v1", "kind": "Binding", **binding})
        self._server.request("PATCH", f"{place}/status", {"status": wanted}, "application/merge-patch+json")
        if fate == "pull":
            self._event(pod, "Failed", 'Failed to pull image "nowhere/nothing:1": not found')
        if fate == "unscheduled":
            self._event(pod, "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.")

    def _event(self, pod: dict[str, Any], reason: str, message: str) -> None:
        meta = pod["metadata"]
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {
                "kind": "Pod",
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "reason": reason,
            "message": message,
            "type": "Warning",
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
        self._server.create(f"/api/v1/namespaces/{meta['namespace']}/events", event)


def _status(fate: str, containers: list[dict[str, Any]]) -> dict[str, Any] | None:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def statuses(state: dict[str, Any], *, good: bool) -> list[dict[str, Any]]:
        return [
            {"name": c["name"], "image": c["image"], "imageID": "", "restartCount": 0, "ready": good, "state": state}
            for c in containers
        ]

    def conditions(ready: str, **more: str) -> list[dict[str, Any]]:
        kinds = ("Ready", "ContainersReady")
        return [{"type": kind, "status": ready, "lastTransitionTime": now, **more} for kind in kinds]

    running = statuses({"running": {"startedAt": now}}, good=True)
    if fate == "ready":
        return {
            "phase": "Running",
            "podIP": "10.1.0.7",
            "podIPs": [{"ip": "10.1.0.7"}],
            "startTime": now,
            "conditions": conditions("True"),
            "containerStatuses": running,
        }
    if fate in ("succeed", "fail"):
        code = 0 if fate == "succeed" else 3
        ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "startedAt": now, "finishedAt": now}
        if code:
            ended["message"] = "the data is not there"
        return {
            "phase": "Failed" if code else "Succeeded",
            "startTime": now,
            "conditions": conditions("False", reason="PodCompleted"),
            "containerStatuses": statuses({"terminated": ended}, good=False),
        }
    if fate == "pull":
        waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/nothing:1"'}
        return {
            "phase": "Pending",
            "conditions": conditions("False", reason="ContainersNotReady"),
            "containerStatuses": statuses({"waiting": waiting}, good=False),
        }
    if fate == "unscheduled":
        unscheduled = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient cpu.",
            "lastTransitionTime": now,
        }
        return {"phase": "Pending", "conditions": [unscheduled]}
    return None
