"""Pulumi resources over the kind command line: a cluster, and an image in its node.

The provider classes are stored in the state by reference (module and name): keep both, and keep nothing in them.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pulumi
from pulumi import dynamic

from components._core import engine as engines
from components._core import files, images, paths
from components._core.engine import EngineError
from components.kind_cluster.command import reason, run
from components.kind_cluster.nodes import Node, Nodes

__all__ = ["KindCluster", "KindError", "NodeImage"]

_CREATE_SECONDS = 300
_LOAD_SECONDS = 900
_OTHER_SECONDS = 180
_SETTINGS = 'eval "$(mlops toolchain env)"'


class KindError(Exception):
    """A cluster cannot be made, read or removed; the text names it, the reason and the fix."""


@dataclass(frozen=True)
class Marker:
    """Written before a cluster is made, so that one that was interrupted can be told from somebody else's."""

    creation: str
    node_image: str
    backend: str
    """Where the state is that the cluster will be recorded in."""
    process: int = 0
    """The kind command that makes it."""
    recorded: bool = False
    """Whether the state is known to have it: from then on it is never taken for a leftover."""

    @staticmethod
    def file(cluster: str) -> Path:
        """Return where the marker of a cluster is."""
        return paths.state("kind", f"{cluster}.json")

    @classmethod
    def read(cls, cluster: str) -> Marker | None:
        """Return the marker of a cluster, if we began to make one of that name."""
        try:
            return cls(**json.loads(cls.file(cluster).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, cluster: str) -> None:
        """Write the marker, whole or not at all."""
        # All images of a cluster that go into it beside each other say that it is recorded.
        files.write(self.file(cluster), json.dumps(asdict(self)), mode=0o600)

    @property
    def alive(self) -> bool:
        """Tell whether the process that makes the cluster still runs."""
        try:
            process = psutil.Process(self.process)
            command = process.cmdline()
            # A program that has only just been started has no command line yet.
            return any("kind" in word for word in command) or (not command and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


class Kind:
    """Makes and removes clusters."""

    def __init__(self, nodes: Nodes, backend: str = "") -> None:
        self.nodes = nodes
        self.backend = backend

    @classmethod
    def here(cls) -> Kind:
        """Return the one that works with this machine's engine. Raises KindError when a tool is missing."""
        engine = engines.find()
        if engine is None:
            msg = f"a kind cluster needs docker or podman, and neither is on PATH; fix: mlops doctor, or {_SETTINGS}"
            raise KindError(msg)
        if not shutil.which("kind"):
            msg = f"kind is not on PATH; fix: mlops toolchain install, then {_SETTINGS}"
            raise KindError(msg)
        return cls(Nodes(engine), os.environ.get("PULUMI_BACKEND_URL", ""))

    def create(self, cluster: str, node_image: str) -> dict[str, str]:
        """Make a cluster and return its outputs. What an interrupted creation of ours left is finished or made anew."""
        with _alone(cluster):
            if self.nodes.find(cluster):
                marker = self._left_over(cluster)
                if marker.node_image == node_image and self._complete(cluster):
                    return self._outputs(cluster, marker.creation)
            self.nodes.remove(cluster)
            self.nodes.wait_gone(cluster)
            marker = Marker(secrets.token_hex(8), node_image, self.backend)
            marker.write(cluster)
            try:
                self._bring(node_image)
                self._run_kind(cluster, marker)
                self.nodes.wait_ready(cluster)
            except Exception:
                self.nodes.remove(cluster)
                Marker.file(cluster).unlink(missing_ok=True)
                raise
            return self._outputs(cluster, marker.creation)

    def find(self, cluster: str, container: str) -> Node | None:
        """Return the node of the cluster that the state means: not of another one with the same name."""
        found = self.nodes.find(cluster)
        return found if found and found.id == container else None

    def start(self, cluster: str) -> None:
        """Start a stopped cluster."""
        with _alone(cluster):
            self.nodes.start(cluster)

    def delete(self, cluster: str, container: str) -> None:
        """Remove a cluster and see that nothing of it is left."""
        with _alone(cluster):
            found = self.nodes.find(cluster)
            if found and found.id != container:
                return  # somebody else's of the same name: ours is gone
            self.nodes.remove(cluster)
            self.nodes.wait_gone(cluster)
            Marker.file(cluster).unlink(missing_ok=True)

    def _left_over(self, cluster: str) -> Marker:
        """Return the marker of a cluster that exists and was never recorded. Raises KindError when it is not ours."""
        marker = Marker.read(cluster)
        deadline = time.monotonic() + _OTHER_SECONDS
        while marker and marker.alive:  # its Pulumi is gone, but it is still at work
            if time.monotonic() > deadline:
                msg = f"cluster {cluster} is being made by process {marker.process}; fix: wait for it, or end it"
                raise KindError(msg)
            time.sleep(0.2)
        if marker is None or marker.recorded or marker.backend != self.backend:
            msg = (
                f"a kind cluster named {cluster} exists and the state of this stack does not know it; fix: "
                f"remove it with `kind delete cluster --name {cluster}`, or set kindCluster.name in the order form"
            )
            raise KindError(msg)
        return marker

    def _complete(self, cluster: str) -> bool:
        """Tell whether an unrecorded cluster is finished and works."""
        found = self.nodes.find(cluster)
        try:
            if found and found.running:
                self.nodes.wait_ready(cluster, seconds=3)
                return bool(self._kubeconfig(cluster))
        except (EngineError, KindError):
            return False
        return False

    def _bring(self, node_image: str) -> None:
        """Give a node image that is built here to the engine, which would look for it in a registry."""
        if images.is_local(node_image) and not self.nodes.engine.inspect("image", node_image):
            _mlops_images("load", node_image, "--engine")

    def _run_kind(self, cluster: str, marker: Marker) -> None:
        with tempfile.TemporaryDirectory(prefix="kind-") as folder:
            config, kubeconfig = Path(folder, "config.json"), Path(folder, "kubeconfig")
            config.write_text(json.dumps(cluster_config(marker.node_image)))
            command = ["kind", "create", "cluster", "--name", cluster, "--config", str(config), "--retain",
                       "--kubeconfig", str(kubeconfig), "--wait", "0s"]  # fmt: skip
            code, said = run(
                command,
                self.nodes.engine,
                seconds=_CREATE_SECONDS,
                started=lambda process: replace(marker, process=process).write(cluster),
            )
            if code:
                msg = f"kind cannot create cluster {cluster}: {reason(said)}{self.nodes.explain(cluster)}"
                raise KindError(msg)

    def _outputs(self, cluster: str, creation: str) -> dict[str, str]:
        found = self.nodes.find(cluster)
        if found is None:
            msg = f"cluster {cluster} went away while it was being made; fix: run again"
            raise KindError(msg)
        kubeconfig = self._kubeconfig(cluster)
        server = re.search(r"^\s*server:\s*(\S+)", kubeconfig, re.MULTILINE)
        return {
            "creation": creation,
            "container": found.id,
            "kubeconfig": kubeconfig,
            "endpoint": server.group(1) if server else "",
        }

    def _kubeconfig(self, cluster: str) -> str:
        code, said = run(["kind", "get", "kubeconfig", "--name", cluster, "--quiet"], self.nodes.engine, seconds=60)
        if code:
            msg = f"kind does not give the kubeconfig of cluster {cluster}: {reason(said)}"
            raise KindError(msg)
        return said[said.index("apiVersion:") :]


def cluster_config(node_image: str) -> dict[str, Any]:
    """Return kind's configuration for one node."""
    kubelet = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        # Machines with cgroup v1 are refused by default since Kubernetes 1.35.
        "failCgroupV1": False,
        # How late a pod sees a changed ConfigMap or Secret, and Prometheus a changed monitor: a minute by default.
        "syncFrequency": "15s",
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        # The node built here brings its own network; upstream's brings kind's.
        "networking": {"disableDefaultCNI": images.is_local(node_image)},
        "kubeadmConfigPatches": [json.dumps(kubelet)],
        "nodes": [{"role": "control-plane", "image": node_image}],
    }


class KindClusterProvider(dynamic.ResourceProvider):
    """Create, read, start and delete kind clusters."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        replaces = [key for key in ("cluster_name", "node_image") if olds.get(key) != news.get(key)]
        if not replaces:
            node = Kind.here().find(olds["cluster_name"], olds["container"])
            if node is None:
                replaces = ["cluster_name"]
            elif not node.running:
                return dynamic.DiffResult(changes=True, stables=["container", "creation", "endpoint"])
        return dynamic.DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        outs = Kind.here().create(props["cluster_name"], props["node_image"])
        return dynamic.CreateResult(props["cluster_name"], {**_inputs(props), **outs})

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        """Report a cluster that is gone as gone, and start one that is stopped: its objects can be read only then."""
        kind = Kind.here()
        node = kind.find(props["cluster_name"], props["container"])
        if node is None:
            return dynamic.ReadResult("", {})
        _record(props)
        if not node.running:
            kind.start(props["cluster_name"])
        return dynamic.ReadResult(id_, props)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        kind = Kind.here()
        kind.start(olds["cluster_name"])
        return dynamic.UpdateResult({**olds, **_inputs(news)})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        Kind.here().delete(props["cluster_name"], props["container"])


class KindCluster(dynamic.Resource, module="platform", name="KindCluster"):
    """A single-node kind cluster. Its kubeconfig is in the state, as a secret, and in no file."""

    cluster_name: pulumi.Output[str]
    container: pulumi.Output[str]
    """Id of the node's container: another cluster of the same name has another."""
    kubeconfig: pulumi.Output[str]
    endpoint: pulumi.Output[str]

    def __init__(
        self, name: str, *, cluster_name: str, node_image: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props = {
            "cluster_name": cluster_name,
            "node_image": node_image,
            **dict.fromkeys(("creation", "container", "kubeconfig", "endpoint")),
        }
        opts = pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(
                additional_secret_outputs=["kubeconfig"],
                custom_timeouts=pulumi.CustomTimeouts(create="10m", delete="5m"),
            ),
            opts,
        )
        super().__init__(KindClusterProvider(), name, props, opts)


class NodeImageProvider(dynamic.ResourceProvider):
    """Put images that are built here into the node."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        replaces = [key for key in ("reference", "container") if olds.get(key) != news.get(key)]
        return dynamic.DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=False)

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        _record(props)
        _mlops_images("load", props["reference"], "--cluster", props["cluster_name"])
        outs = {key: props[key] for key in ("cluster_name", "container", "reference")}
        return dynamic.CreateResult(f"{props['cluster_name']}/{props['reference']}", outs)

    def read(self, id_: str, props: dict[str, Any]) -> dynamic.ReadResult:
        kind = Kind.here()
        node = kind.find(props["cluster_name"], props["container"])
        if node is None:
            return dynamic.ReadResult("", {})
        if node.running:
            held = kind.nodes.engine.run("exec", node.name, "ctr", "--namespace", "k8s.io", "images", "ls", "--quiet")
            if props["reference"] not in held.split():
                return dynamic.ReadResult("", {})
        return dynamic.ReadResult(id_, props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Leave the image: pods may still run from it, and it goes with the cluster."""


class NodeImage(dynamic.Resource, module="platform", name="NodeImage"):
    """An image that is built here, in the node of a cluster."""

    reference: pulumi.Output[str]

    def __init__(
        self, name: str, *, reference: str, cluster: KindCluster, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props = {"reference": reference, "cluster_name": cluster.cluster_name, "container": cluster.container}
        opts = pulumi.ResourceOptions.merge(
            pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="20m")), opts
        )
        super().__init__(NodeImageProvider(), name, props, opts)


def _inputs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in ("cluster_name", "node_image")}


def _record(props: dict[str, Any]) -> None:
    """Note that the state has the cluster: the engine shows it to us only after it has written it down."""
    marker = Marker.read(props["cluster_name"])
    if marker and not marker.recorded:
        replace(marker, recorded=True).write(props["cluster_name"])


@contextmanager
def _alone(cluster: str) -> Iterator[None]:
    """Let one process at a time make or remove clusters: they share a network."""
    file = paths.state("kind", "lock")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    deadline = time.monotonic() + _CREATE_SECONDS + _OTHER_SECONDS
    with file.open("a+") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    handle.seek(0)
                    msg = f"cluster {cluster} waits for process {handle.read()}, which makes or removes another one"
                    raise KindError(msg) from None
                time.sleep(0.2)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _mlops_images(*arguments: str) -> None:
    """Run `mlops images`, which builds what is missing and moves it."""
    command = [sys.executable, "-m", "mlops.images", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LOAD_SECONDS, check=False
    )
    if done.returncode:
        msg = f"`mlops images {' '.join(arguments)}` failed:\n{done.stderr.strip()[-2000:]}"
        raise KindError(msg)
