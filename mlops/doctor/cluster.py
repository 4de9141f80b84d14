"""A stack's cluster: its node, its pods, and whether its state is at rest."""

from __future__ import annotations

from typing import Any

import yaml

from mlops import runs
from mlops.doctor.checks import Check, good, warning
from mlops.errors import MlopsError

__all__ = ["examine", "judge_nodes", "judge_pods"]

SECTION = "cluster"

_SECONDS = 10
"""How long the cluster gets to answer."""


def examine(stack: str) -> list[Check]:
    """Return how the stack's state and cluster are; one line when there is none yet."""
    from mlops.engine import Stack

    up = f"mlops up --stack {stack}"
    try:
        found = Stack(stack)
        if not found.exists():
            return [good(SECTION, "stack", f"{stack} is not deployed; `{up}` does it")]
        checks = _state(found, up)
        text = found.kubeconfig()
    except MlopsError as error:
        return [warning(SECTION, "stack", f"{stack}: {error.message}", error.fix or up)]
    return [*checks, *_ask(text, up)]


def _state(stack: Any, up: str) -> list[Check]:
    backend = stack.environment.get("PULUMI_BACKEND_URL", "")
    checks = []
    for lock in runs.locks(backend, stack.project_name, stack.name):
        if lock.holder or not lock.is_local:
            checks.append(good(SECTION, "state", f"in use by process {lock.pid} of {lock.user}@{lock.host}"))
        else:
            checks.append(warning(SECTION, "state", f"locked by process {lock.pid}, which is dead", f"{up} frees it"))
    pending = stack.state()["deployment"].get("pending_operations") or []
    if pending and not checks:
        names = ", ".join(each["resource"]["urn"].rpartition("::")[2] for each in pending[:5])
        checks.append(warning(SECTION, "state", f"an interrupted run had begun: {names}", f"{up} puts it right"))
    return checks or [good(SECTION, "state", "at rest")]


def _ask(kubeconfig: str, up: str) -> list[Check]:
    import urllib3
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException

    settings = client.Configuration()
    config.kube_config.KubeConfigLoader(yaml.safe_load(kubeconfig)).load_and_set(settings)
    settings.retries = False
    api = client.CoreV1Api(client.ApiClient(settings))
    try:
        nodes = api.list_node(_request_timeout=_SECONDS, _preload_content=False)
        pods = api.list_pod_for_all_namespaces(_request_timeout=_SECONDS, _preload_content=False)
        return [*judge_nodes(nodes.json()["items"], up), *judge_pods(pods.json()["items"])]
    except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
        return [warning(SECTION, "api server", f"{settings.host} does not answer ({type(error).__name__})", up)]


def judge_nodes(nodes: list[dict[str, Any]], up: str) -> list[Check]:
    """Return whether every node is ready, with what it complains of."""
    found = []
    for node in nodes:
        conditions = {each["type"]: each for each in node["status"].get("conditions", [])}
        name, version = node["metadata"]["name"], node["status"]["nodeInfo"]["kubeletVersion"]
        ready = conditions.get("Ready", {})
        pressed = [kind for kind, each in conditions.items() if kind != "Ready" and each["status"] == "True"]
        if ready.get("status") != "True":
            found.append(warning(SECTION, f"node {name}", f"not ready: {ready.get('message', 'no word from it')}", up))
        elif pressed:
            found.append(warning(SECTION, f"node {name}", ", ".join(pressed), "free disk or memory of the machine"))
        else:
            found.append(good(SECTION, f"node {name}", f"ready, Kubernetes {version}"))
    return found


def judge_pods(pods: list[dict[str, Any]]) -> list[Check]:
    """Return every pod that does not run, with the reason its containers give."""
    found = []
    for pod in pods:
        status, metadata = pod["status"], pod["metadata"]
        if status["phase"] == "Succeeded":
            continue
        waiting = [
            state["waiting"].get("reason", "waiting")
            for each in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
            if "waiting" in (state := each.get("state", {}))
        ]
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
        if not ready:
            unschedulable = [
                each.get("message") for each in status.get("conditions", []) if each.get("status") == "False"
            ]
            why = ", ".join(dict.fromkeys(waiting)) or next(filter(None, unschedulable), status["phase"])
            where = f"{metadata['namespace']}/{metadata['name']}"
            fix = f"kubectl describe pod {metadata['name']} -n {metadata['namespace']}"
            found.append(warning(SECTION, f"pod {where}", why, fix))
    return found or [good(SECTION, "pods", f"all {len(pods)} run")]
