"""Undo what a killed engine had begun to create and not recorded, so that the next run can create it.

The engine notes each creation in its state before it begins. When it is killed in between, the note stays, the
object may exist, and nobody may create it again. Such an object never served anybody: whatever needs it waits for
the note to become a record. So it is deleted, if it can be told to be this stack's own, and the note with it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from components._core import engine as containers
from mlops import console, properties
from mlops.errors import OperationError

if TYPE_CHECKING:
    from mlops.engine import Stack

__all__ = ["CLUSTER", "Cluster", "Found", "KubernetesObjects", "cluster_is_gone", "resolve_pending"]

CLUSTER = "pulumi-python:dynamic/platform:KindCluster"
"""Type of the resource that is a cluster; the component that has it is called the same, behind another prefix."""

_GONE = 60.0
"""Seconds a deleted object gets to go."""

_SKEW = dt.timedelta(seconds=5)
"""By how much the clocks of this machine and of the cluster may differ."""


@dataclass(frozen=True)
class Found:
    """An object that exists in the cluster."""

    created: dt.datetime
    managers: frozenset[str]
    labels: Mapping[str, str]


class Cluster(Protocol):
    """What recovery needs of a cluster."""

    def find(self, api_version: str, kind: str, name: str, namespace: str | None) -> Found | None:
        """Return the object, None when there is none."""

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None) -> None:
        """Delete the object and wait until it is gone."""


def resolve_pending(
    stack: Stack,
    since: dt.datetime | None,
    connect: Callable[[Mapping[str, Any]], Cluster | None] | None = None,
) -> list[str]:
    """Take back every creation that was begun and not recorded; return what they were.

    `since` is when the killed run began: what is older is not its own. `connect` reaches the cluster of a provider's
    inputs, or returns None when the cluster is gone, and with it everything that was begun in it.
    """
    state = stack.state()
    deployment = state["deployment"]
    pending = deployment.get("pending_operations") or []
    begun = [operation["resource"] for operation in pending if operation["type"] == "creating"]
    if not begun:
        return []
    recorded = {(each["type"], each.get("id")) for each in deployment.get("resources") or []}
    readable = {each["urn"]: each for each in stack.resources(secrets=True)}
    clusters = _Clusters(readable, connect or _connect)
    names = []
    with console.step(f"taking back {len(begun)} unfinished creation{'s' * (len(begun) > 1)} of an interrupted run"):
        for resource in begun:
            if resource["type"].startswith("kubernetes:"):
                _take_back_object(resource, recorded, clusters.of(resource), since)
            elif resource["type"] == CLUSTER:
                _take_back_cluster(resource, stack.environment)
            names.append(resource["urn"].rpartition("::")[2])
        deployment["pending_operations"] = [each for each in pending if each["type"] != "creating"]
        stack.write_state(state)
    return names


def cluster_is_gone(stack: Stack) -> bool:
    """Tell whether the stack's own cluster was removed, and all its objects with it; start it where it is stopped.

    A refresh reads everything at once: nobody waits until a stopped cluster answers. Raises OperationError when the
    container engine does not tell.
    """
    from components.kind_cluster.nodes import Nodes

    recorded = [each for each in stack.resources() if each["type"] == CLUSTER]
    engine = containers.find(stack.environment) if recorded else None
    if engine is None:
        return False
    nodes, outputs = Nodes(engine), recorded[0].get("outputs") or {}
    name = str(outputs.get("cluster_name"))
    try:
        found = nodes.find(name)
        if found is None or found.id != outputs.get("container"):
            return True
        if not found.running:
            with console.step(f"starting the stopped cluster {name}"):
                nodes.start(name)
    except containers.EngineError as error:
        msg = f"cluster {name} cannot be looked for: {error}"
        raise OperationError(msg, fix="mlops doctor") from error
    return False


class _Clusters:
    """The clusters of a stack, reached once each."""

    def __init__(
        self, resources: Mapping[str, Mapping[str, Any]], connect: Callable[[Mapping[str, Any]], Cluster | None]
    ) -> None:
        self._resources = resources
        self._connect = connect
        self._reached: dict[str, Cluster | None] = {}

    def of(self, resource: Mapping[str, Any]) -> Cluster | None:
        """Return the cluster that a resource was to be created in."""
        urn = str(resource.get("provider", "")).rpartition("::")[0]
        if urn not in self._reached:
            provider = self._resources.get(urn)
            self._reached[urn] = self._connect(properties.plain(provider["inputs"])) if provider else None
        return self._reached[urn]


def _take_back_object(
    resource: Mapping[str, Any], recorded: set[tuple[str, Any]], cluster: Cluster | None, since: dt.datetime | None
) -> None:
    inputs = resource.get("inputs") or {}
    metadata = inputs.get("metadata") or {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if cluster is None or not isinstance(name, str):
        return
    ids = {name, f"{namespace}/{name}"}
    if any((resource["type"], each) in recorded for each in ids):
        return  # another entry of the state owns it
    found = cluster.find(inputs["apiVersion"], inputs["kind"], name, namespace)
    if found is None:
        return
    wanted = {key: value for key, value in (metadata.get("labels") or {}).items() if isinstance(value, str)}
    ours = any(manager.startswith("pulumi-kubernetes") for manager in found.managers)
    if not ours or not wanted.items() <= found.labels.items() or (since and found.created < since - _SKEW):
        return  # somebody else's: the next run will say that it is in the way
    cluster.delete(inputs["apiVersion"], inputs["kind"], name, namespace)


def _take_back_cluster(resource: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Remove what there is of a kind cluster that was being created, unless a state is known to have it."""
    from components.kind_cluster.kind import Marker
    from components.kind_cluster.nodes import Nodes

    name = (resource.get("inputs") or {}).get("cluster_name")
    engine = containers.find(environment)
    if engine is None or not isinstance(name, str):
        return
    marker = Marker.read(name)
    if marker is None or marker.recorded or marker.backend != environment.get("PULUMI_BACKEND_URL", ""):
        return
    nodes = Nodes(engine)
    try:
        nodes.remove(name)
        nodes.wait_gone(name)
    except containers.EngineError as error:
        msg = f"what there is of the unfinished cluster {name} cannot be removed: {error}"
        raise OperationError(msg, fix=f"kind delete cluster --name {name}") from error
    Marker.file(name).unlink(missing_ok=True)


class KubernetesObjects:
    """A real cluster."""

    def __init__(self, kubeconfig: str, context: str | None = None) -> None:
        from kubernetes import client, config, dynamic

        settings = client.Configuration()
        loader = config.kube_config.KubeConfigLoader(yaml.safe_load(kubeconfig), active_context=context)
        loader.load_and_set(settings)
        settings.retries = 2
        self._client = dynamic.DynamicClient(client.ApiClient(settings))

    def find(self, api_version: str, kind: str, name: str, namespace: str | None) -> Found | None:
        live = self._get(api_version, kind, name, namespace)
        if live is None:
            return None
        metadata = live["metadata"]
        return Found(
            created=dt.datetime.fromisoformat(metadata["creationTimestamp"]),
            managers=frozenset(each.get("manager", "") for each in metadata.get("managedFields") or []),
            labels=metadata.get("labels") or {},
        )

    def delete(self, api_version: str, kind: str, name: str, namespace: str | None) -> None:
        from kubernetes.client.exceptions import ApiException

        resource = self._client.resources.get(api_version=api_version, kind=kind)
        with contextlib.suppress(ApiException):
            resource.delete(name=name, namespace=namespace, body={"propagationPolicy": "Foreground"})
        end = time.monotonic() + _GONE
        while self._get(api_version, kind, name, namespace) is not None:
            if time.monotonic() > end:
                msg = f"{kind} {namespace or ''}/{name} of an interrupted run does not go away"
                raise OperationError(msg, fix=f"kubectl get {kind} {name} -n {namespace or 'default'} -o yaml")
            time.sleep(0.5)

    def _get(self, api_version: str, kind: str, name: str, namespace: str | None) -> dict[str, Any] | None:
        from kubernetes.client.exceptions import ApiException
        from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError

        try:
            resource = self._client.resources.get(api_version=api_version, kind=kind)
            found: dict[str, Any] = json.loads(resource.get(name=name, namespace=namespace, serialize=False).data)
        except (NotFoundError, ResourceNotFoundError):
            return None
        except ApiException as error:
            msg = f"the cluster refuses to tell of {kind} {name}: {error.reason}"
            raise OperationError(msg) from error
        return found


def _connect(inputs: Mapping[str, Any]) -> Cluster | None:
    """Reach the cluster of a provider; None when nobody answers."""
    import urllib3

    text = properties.complete_kubeconfig(inputs.get("kubeconfig"), inputs.get("context"))
    try:
        return KubernetesObjects(text, inputs.get("context"))
    except (urllib3.exceptions.HTTPError, OSError):
        return None
