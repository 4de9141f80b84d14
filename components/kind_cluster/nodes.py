"""What the container engine holds of a kind cluster: its node, its volumes, its network."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components._core.engine import Engine, EngineError

__all__ = ["Node", "Nodes"]

CLUSTER_LABEL = "io.x-k8s.kind.cluster"
NETWORK = "kind"

_POLL = 1.0
_START_SECONDS = 150.0
_GONE_SECONDS = 60.0


@dataclass(frozen=True)
class Node:
    """The container that is a cluster's only node."""

    id: str
    name: str
    running: bool


class Nodes:
    """The nodes of kind clusters in one engine."""

    def __init__(self, engine: Engine, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self.engine = engine
        self._sleep = sleep

    def find(self, cluster: str) -> Node | None:
        """Return the node of a cluster, running or not."""
        found = self.engine.inspect("container", node_name(cluster))
        if found is None:
            return None
        return Node(found["Id"], node_name(cluster), bool(found["State"]["Running"]))

    def start(self, cluster: str) -> None:
        """Start a node that was stopped, by a reboot for example, and wait until its API server answers."""
        self.engine.run("start", node_name(cluster))
        self.wait_ready(cluster)

    def wait_ready(self, cluster: str, seconds: float = _START_SECONDS) -> None:
        """Wait until the API server answers and the node takes pods. Raises EngineError that says what is missing."""
        reason = "nothing was asked yet"
        for _ in range(int(seconds / _POLL)):
            reason = self._not_ready(cluster)
            if not reason:
                return
            self._sleep(_POLL)
        msg = f"cluster {cluster} is not ready after {seconds:.0f} s: {reason}{self.explain(cluster)}"
        raise EngineError(msg)

    def _not_ready(self, cluster: str) -> str:
        """Return why the cluster cannot be used yet; nothing when it can."""
        try:
            answer = self.kubectl(cluster, "get", "--raw", f"/api/v1/nodes/{node_name(cluster)}")
            conditions: list[dict[str, Any]] = json.loads(answer)["status"].get("conditions", [])
        except (EngineError, ValueError, KeyError) as error:
            return f"the API server does not answer ({error})"
        ready = next((each for each in conditions if each["type"] == "Ready"), {"status": "Unknown"})
        return "" if ready["status"] == "True" else f"the node is not ready ({ready.get('message', 'no kubelet yet')})"

    def kubectl(self, cluster: str, *arguments: str) -> str:
        """Run kubectl inside the node, as an administrator."""
        command = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--request-timeout", "10s", *arguments)
        return self.engine.run("exec", node_name(cluster), *command, timeout=20)

    def explain(self, cluster: str) -> str:
        """Return the last words of a node in trouble, for an error message."""
        words: list[str] = []
        for source, command in (
            ("node", ("logs", "--tail", "3", node_name(cluster))),
            ("kubelet", ("exec", node_name(cluster), "journalctl", "-qu", "kubelet", "-n", "2", "-o", "cat")),
        ):
            try:
                said = self.engine.run(*command, timeout=20).strip().splitlines()
            except EngineError:
                continue
            words += [f"\n  {source}: {line.strip()[:300]}" for line in said if line.strip()]
        return "".join(words)

    def remove(self, cluster: str) -> None:
        """Remove whatever there is of a cluster: containers, volumes, and the network when nobody uses it."""
        if containers := self._containers(cluster):
            self.engine.run("kill", *containers, check=False)  # podman's rm would wait ten seconds for each to end
            self.engine.run("rm", "--force", "--volumes", *containers)
        if volumes := self._volumes(cluster):
            self.engine.run("volume", "rm", "--force", *volumes)
        if not self.engine.run("ps", "--all", "--quiet", "--filter", f"network={NETWORK}").split():
            self.engine.run("network", "rm", NETWORK, check=False)

    def wait_gone(self, cluster: str, seconds: float = _GONE_SECONDS) -> None:
        """Wait until nothing of a cluster is left. Raises EngineError naming what is."""
        left: list[str] = []
        for _ in range(int(seconds / _POLL)):
            left = [f"container {each}" for each in self._containers(cluster)]
            left += [f"volume {each}" for each in self._volumes(cluster)]
            if not left:
                return
            self._sleep(_POLL)
        msg = f"of cluster {cluster} these are left after {seconds:.0f} s: {', '.join(left)}"
        raise EngineError(msg)

    def _containers(self, cluster: str) -> list[str]:
        return self.engine.run("ps", "--all", "--quiet", "--filter", f"label={CLUSTER_LABEL}={cluster}").split()

    def _volumes(self, cluster: str) -> list[str]:
        # kind labels the volume of a node with the name of the node.
        return self.engine.run("volume", "ls", "--quiet", "--filter", f"label={node_name(cluster)}").split()


def node_name(cluster: str) -> str:
    """Return the name of the container that is the only node of a cluster."""
    return f"{cluster}-control-plane"
