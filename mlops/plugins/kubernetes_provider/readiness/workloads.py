"""Deployment, StatefulSet, DaemonSet, ReplicationController, Job and Pod: judged by what their status says."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider.objects import condition, dig, name_of, namespace_of
from mlops.plugins.kubernetes_provider.readiness.verdict import Verdict, failed, pending, ready

__all__ = ["daemon_set", "deployment", "job", "pod", "replication_controller", "stateful_set"]

_DONE = "✅ "
_DEFAULT_REPLICAS = 1


def _observed(live: dict[str, Any]) -> bool:
    generation = dig(live, "metadata", "generation", default=0)
    return bool(dig(live, "status", "observedGeneration", default=0) >= generation)


def _wanted(live: dict[str, Any]) -> int:
    return int(dig(live, "spec", "replicas", default=_DEFAULT_REPLICAS))


def _count(live: dict[str, Any], field: str) -> int:
    return int(dig(live, "status", field, default=0) or 0)


def _complaint(live: dict[str, Any], kind: str, bad: str) -> list[str]:
    found = condition(live, kind)
    if found is None or found.get("status") != bad:
        return []
    return [f"[{found.get('reason', kind)}] {found.get('message', '')}".rstrip()]


def deployment(live: dict[str, Any]) -> Verdict:
    """Ready when the newest ReplicaSet has all its Pods available and no older one has any."""
    wanted, available = _wanted(live), _count(live, "availableReplicas")
    updated, total = _count(live, "updatedReplicas"), _count(live, "replicas")
    if not _observed(live):
        return pending("Waiting for the Deployment controller to see the change")
    found = condition(live, "Available")
    enough = updated >= wanted and available >= wanted and total == updated
    if enough and (wanted == 0 or (found is not None and found.get("status") == "True")):
        return ready(f"{_DONE}Deployment initialization complete")
    fresh = max(0, min(updated, available - (total - updated)))
    return pending(
        f"Waiting for app ReplicaSet to be available ({fresh}/{wanted} Pods available)",
        *_complaint(live, "ReplicaFailure", "True"),
        *_complaint(live, "Progressing", "False"),
        *_complaint(live, "Available", "False"),
        "Minimum number of live Pods was not attained"
        if available < wanted
        else "Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live",
    )


def stateful_set(live: dict[str, Any]) -> Verdict:
    """Ready when all replicas are ready at the newest revision (or, with OnDelete, just ready)."""
    wanted, available, updated = _wanted(live), _count(live, "readyReplicas"), _count(live, "updatedReplicas")
    if not _observed(live):
        return pending("Waiting for the StatefulSet controller to see the change")
    strategy = dig(live, "spec", "updateStrategy", default={})
    partition = int(dig(strategy, "rollingUpdate", "partition", default=0) or 0)
    rolled = strategy.get("type") == "OnDelete" or updated >= max(0, wanted - partition)
    same = partition > 0 or dig(live, "status", "currentRevision") == dig(live, "status", "updateRevision")
    first = dig(live, "metadata", "generation", default=1) <= 1
    if available >= wanted and _count(live, "replicas") == wanted and rolled:
        if same or strategy.get("type") == "OnDelete":
            return ready(f"{_DONE}StatefulSet initialization complete")
        return pending("[2/3] Waiting for StatefulSet to update .status.currentRevision")
    text = (
        f"[1/2] Waiting for StatefulSet to create Pods ({available}/{wanted} Pods ready)"
        if first
        else f"[1/3] Waiting for StatefulSet update to roll out ({available}/{wanted} Pods ready)"
    )
    return pending(text, "Failed to observe the expected number of ready replicas")


def daemon_set(live: dict[str, Any]) -> Verdict:
    """Ready when every node that should runs an available Pod of the newest template."""
    wanted = _count(live, "desiredNumberScheduled")
    updated, available = _count(live, "updatedNumberScheduled"), _count(live, "numberAvailable")
    if not _observed(live):
        return pending("Waiting for the DaemonSet controller to see the change")
    if updated >= wanted and available >= wanted:
        return ready(f"{_DONE}All replicas scheduled as expected. Replicas: {wanted}")
    return pending(f"Waiting for DaemonSet to roll out ({min(updated, available)}/{wanted} Pods available)")


def replication_controller(live: dict[str, Any]) -> Verdict:
    """Ready when all replicas are ready."""
    wanted, available = _wanted(live), _count(live, "readyReplicas")
    if _observed(live) and available >= wanted:
        return ready()
    return pending(f"Waiting for ReplicationController ({available}/{wanted} Pods ready)")


def job(live: dict[str, Any]) -> Verdict:
    """Ready when complete; failed for good when the controller gave up."""
    finished, gave_up = condition(live, "Complete"), condition(live, "Failed")
    if finished is not None and finished.get("status") == "True":
        return ready()
    name = f"{namespace_of(live)}/{name_of(live)}"
    if gave_up is not None and gave_up.get("status") == "True":
        return failed(f'Job "{name}" failed: {gave_up.get("reason", "")}: {gave_up.get("message", "")}')
    if dig(live, "spec", "suspend") is True:
        return ready(f'Job "{name}" is suspended')
    counts = " | ".join(f"{field.capitalize()}: {_count(live, field)}" for field in ("active", "succeeded", "failed"))
    return pending(f'Waiting for Job "{name}" to succeed ({counts})', f'Job "{name}" has not succeeded ({counts})')


def pod(live: dict[str, Any]) -> Verdict:
    """Ready when its containers are ready, or when it has run to success."""
    phase = dig(live, "status", "phase", default="Pending")
    found = condition(live, "Ready")
    if phase == "Succeeded" or (phase == "Running" and found is not None and found.get("status") == "True"):
        return ready()
    name = f"{namespace_of(live)}/{name_of(live)}"
    if phase == "Failed":
        why = ": ".join(text for text in (dig(live, "status", "reason"), dig(live, "status", "message")) if text)
        return failed(f'Pod "{name}" failed{": " + why if why else ""}')
    return pending(f'Waiting for Pod "{name}" to be ready ({phase})', f'Pod "{name}" is not ready ({phase})')
