"""Why an object is stuck: its Pods' reasons, the last events, the last lines its containers wrote."""

from __future__ import annotations

from typing import Any

from mlops.plugins.kubernetes_provider.client import Client
from mlops.plugins.kubernetes_provider.objects import Kind, condition, dig, kind_of, name_of, namespace_of

__all__ = ["diagnose", "pod_problems"]

_PODS, _EVENTS, _SETS = Kind("", "v1", "Pod"), Kind("", "v1", "Event"), Kind("apps", "v1", "ReplicaSet")
_MOST_PODS, _MOST_EVENTS, _MOST_LINES = 3, 3, 10
_QUIET = frozenset({"ContainerCreating", "PodInitializing"})


def diagnose(live: dict[str, Any], client: Client, *, logs: bool = True) -> list[str]:
    """Return what stands in the way of an object: its own events, its blocked Pods, their events and last words."""
    pods = [live] if kind_of(live).kind == "Pod" else _pods_of(live, client)
    blocked = [pod for pod in pods if not _fine(pod)][-_MOST_PODS:]
    lines = [] if kind_of(live).kind == "Pod" else _events(live, client)
    for owned in _sets_of(live, client):
        lines += _events(owned, client)
    for pod in blocked:
        lines += [f"Pod {namespace_of(pod)}/{name_of(pod)}: {text}" for text in pod_problems(pod) or ["not ready"]]
        lines += _events(pod, client)
        if logs:
            lines += _last_words(pod, client)
    return lines


def _pods_of(live: dict[str, Any], client: Client) -> list[dict[str, Any]]:
    kind = kind_of(live).kind
    if kind == "Job":
        selector = f"batch.kubernetes.io/job-name={name_of(live)}"
    elif kind == "Service":
        selector = _labels(dig(live, "spec", "selector", default={}))
    else:
        selector = _labels(dig(live, "spec", "selector", "matchLabels", default={}))
    if not selector:
        return []
    pods = client.items(_PODS, namespace_of(live), labelSelector=selector)
    return sorted(pods, key=lambda pod: str(dig(pod, "metadata", "creationTimestamp", default="")))


def _labels(labels: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items()) if isinstance(labels, dict) else ""


def _sets_of(live: dict[str, Any], client: Client) -> list[dict[str, Any]]:
    """Return the newest ReplicaSet of a Deployment: quotas and admission speak there."""
    if kind_of(live).kind != "Deployment":
        return []
    selector = _labels(dig(live, "spec", "selector", "matchLabels", default={}))
    uid = dig(live, "metadata", "uid")
    owned = [
        found
        for found in client.items(_SETS, namespace_of(live), labelSelector=selector)
        if any(owner.get("uid") == uid for owner in dig(found, "metadata", "ownerReferences", default=[]))
    ]
    owned.sort(key=lambda found: str(dig(found, "metadata", "creationTimestamp", default="")))
    for found in owned:
        found.setdefault("kind", "ReplicaSet")
    return owned[-1:]


def _fine(pod: dict[str, Any]) -> bool:
    found = condition(pod, "Ready")
    return dig(pod, "status", "phase") == "Succeeded" or (found is not None and found.get("status") == "True")


def pod_problems(pod: dict[str, Any]) -> list[str]:
    """Return why a Pod is not ready: not scheduled, a container waiting, crashed or failing its probe."""
    problems = []
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        problems.append(f"[{scheduled.get('reason', 'Unschedulable')}] {scheduled.get('message', '')}".rstrip())
    if dig(pod, "status", "phase") == "Failed":
        reason, text = dig(pod, "status", "reason", default=""), dig(pod, "status", "message", default="")
        problems += [f"failed: {': '.join(part for part in (reason, text) if part)}"] if reason or text else []
    for group in ("initContainerStatuses", "containerStatuses"):
        for status in dig(pod, "status", group, default=[]):
            problems += _container_problems(status)
    return problems


def _container_problems(status: dict[str, Any]) -> list[str]:
    name, problems = f"container {status.get('name')}", []
    waiting = dig(status, "state", "waiting", default={})
    if waiting.get("reason") and waiting["reason"] not in _QUIET:
        problems.append(f"{name}: [{waiting['reason']}] {waiting.get('message', '')}".rstrip())
    for state in ("state", "lastState"):
        ended = dig(status, state, "terminated", default={})
        if ended and ended.get("exitCode", 0) != 0:
            said = f" {ended['message']}" if ended.get("message") else ""
            problems.append(f"{name}: [{ended.get('reason', 'Error')}] exited with code {ended['exitCode']}{said}")
            break
    if dig(status, "state", "running") and not status.get("ready"):
        problems.append(f"{name}: running, but its readiness probe has not succeeded")
    return problems


def _events(obj: dict[str, Any], client: Client) -> list[str]:
    """Return the last events of an object: its warnings or, of a Pod without any, what happened last."""
    uid = dig(obj, "metadata", "uid")
    found = client.items(_EVENTS, namespace_of(obj) or "default", fieldSelector=f"involvedObject.uid={uid}")
    found.sort(key=_when)
    kind = kind_of(obj).kind or "Pod"
    warnings = [event for event in found if event.get("type") == "Warning"]
    chosen = warnings or (found if kind == "Pod" else [])
    return [
        f"{kind} {name_of(obj)}: event {event.get('reason')}: {str(event.get('message', '')).strip()}"
        for event in chosen[-_MOST_EVENTS:]
    ]


def _when(event: dict[str, Any]) -> str:
    times = (event.get("lastTimestamp"), event.get("eventTime"), dig(event, "metadata", "creationTimestamp"))
    return str(next((time for time in times if time), ""))


def _last_words(pod: dict[str, Any], client: Client) -> list[str]:
    lines = []
    for group in ("initContainerStatuses", "containerStatuses"):
        for status in dig(pod, "status", group, default=[]):
            started = any(
                dig(status, state, key) for state in ("state", "lastState") for key in ("running", "terminated")
            )
            if started and not status.get("ready") and dig(status, "state", "terminated", "exitCode") != 0:
                written = client.logs(namespace_of(pod), name_of(pod), status["name"], lines=_MOST_LINES)
                lines += [f"{name_of(pod)}/{status['name']} | {line}" for line in written]
    return lines
