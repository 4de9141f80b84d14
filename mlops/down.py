"""Remove everything a stack made, and look whether anything is left."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components._core import engine as containers
from components._core import paths, plan
from components.kind_cluster.kind import Marker
from components.kind_cluster.nodes import CLUSTER_LABEL, NETWORK, Nodes, node_name
from mlops import console, engine, evidence, runs
from mlops.errors import OperationError
from mlops.recovery import CLUSTER
from mlops.up import kubeconfig_file

__all__ = ["down", "leftovers", "nodes_of", "purge_cache", "without_objects"]


def down(stack: str) -> None:
    """Remove everything of a stack. Raises OperationError naming what is left."""
    started = time.monotonic()
    with runs.exclusive(stack, f"down --stack {stack}"):
        found = engine.Stack(stack)
        form = plan.stack_file(stack)
        has_form = form.exists()
        clusters = {f"mlops-{stack}"}
        if _has_engine(found):
            found.recover()
            if found.exists():
                clusters |= _destroy(found)
        nodes = nodes_of(found.environment)
        for cluster in sorted(clusters):
            _remove_unfinished(cluster, nodes, found.environment)
        runs.end_leftovers(None, found.environment)
        _forget(stack)
        if not has_form:  # pulumi writes one to keep the salt of the secrets in
            form.unlink(missing_ok=True)
        left = [each for cluster in sorted(clusters) for each in leftovers(cluster, nodes)]
    if left:
        msg = f"stack {stack} is removed, and these are left: {', '.join(left)}"
        raise OperationError(msg, fix="see what uses them: `podman ps --all` or `docker ps --all`")
    seconds = time.monotonic() - started
    what = "no container, network, volume, process or kubeconfig entry is left"
    console.err.print(f"[green]{console.OK}[/] stack {stack} is gone: {what}  [dim]{seconds:.1f} s[/]")


def leftovers(cluster: str, nodes: Nodes | None) -> list[str]:
    """Return what is left of a cluster on this machine, each named by its kind."""
    left = [f"kubeconfig entry {each}" for each in _kubeconfig_entries(f"kind-{cluster}")]
    if nodes is None:
        return left
    engine = nodes.engine

    def named(kind: str, *command: str) -> list[str]:
        return [f"{kind} {each}" for each in engine.run(*command).split()]

    left += named("container", "ps", "--all", "--quiet", "--filter", f"label={CLUSTER_LABEL}={cluster}")
    left += named("volume", "volume", "ls", "--quiet", "--filter", f"label={node_name(cluster)}")
    others = engine.run("ps", "--all", "--quiet", "--filter", f"label={CLUSTER_LABEL}").split()
    if not others and not _another_is_made():  # kind's network is shared by all its clusters
        left += named("network", "network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$")
    return left


def _another_is_made() -> bool:
    """Tell whether kind is about to make a cluster of ours: its network comes first, its container seconds later."""
    markers = map(Marker.read, (file.stem for file in paths.state("kind").glob("*.json")))
    return any(marker.alive for marker in markers if marker)


def purge_cache(nodes: Nodes | None) -> int:
    """Remove built tools and images, also those in the container engine; return the bytes that were freed."""
    folder = paths.cache()
    size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir()) if folder.exists() else 0
    if nodes:
        from components._core import images

        listed = nodes.engine.run("images", "--filter", f"reference={images.LOCAL}/*", "--quiet").split()
        if listed:
            nodes.engine.run("rmi", "--force", *dict.fromkeys(listed), check=False)
    shutil.rmtree(folder, onerror=_make_writable)
    return size


def _has_engine(stack: engine.Stack) -> bool:
    """Tell whether pulumi is there; without it nothing can have been deployed but what is looked for anyway."""
    return shutil.which("pulumi", path=stack.environment.get("PATH")) is not None


def _destroy(stack: engine.Stack) -> set[str]:
    """Destroy what the state has; return the names of the kind clusters it had."""
    began = dt.datetime.now(dt.UTC)
    resources = stack.resources()
    clusters = {each["inputs"]["cluster_name"] for each in resources if each["type"] == CLUSTER}
    if resources:
        console.err.print(f"  pulumi destroy of stack {stack.name} …")
        started = time.monotonic()
        try:
            progress = stack.destroy(quick=bool(clusters))
        except OperationError:
            if not clusters:
                raise
            console.err.print(
                f"{console.WARNING} not everything could be removed piece by piece: removing the cluster whole"
            )
            _drop_objects(stack)
            progress = stack.destroy(quick=bool(clusters))
        seconds = time.monotonic() - started
        console.err.print(f"[green]{console.OK}[/] pulumi destroy: {progress.summary}  [dim]{seconds:.1f} s[/]")
    evidence.record_quietly(stack, "mlops down", since=began, cluster=False)  # before the history goes with the stack
    stack.remove()
    return clusters


def _drop_objects(stack: engine.Stack) -> None:
    """Forget every object in the stack's own cluster: they go with it."""
    state = stack.state()
    deployment = state["deployment"]
    deployment["resources"] = without_objects(deployment["resources"])
    deployment["pending_operations"] = []
    stack.write_state(state)


def without_objects(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a state's resources without those in a cluster and without any link to them."""
    kept = [each for each in resources if not _lives_in_cluster(each)]
    names = {each["urn"] for each in kept}
    for each in kept:
        _forget_links(each, names)
    return kept


def _lives_in_cluster(resource: dict[str, Any]) -> bool:
    return str(resource["type"]).startswith(("kubernetes:", "pulumi:providers:kubernetes"))


def _forget_links(resource: dict[str, Any], names: set[str]) -> None:
    if "dependencies" in resource:
        resource["dependencies"] = [each for each in resource["dependencies"] if each in names]
    for key, urns in (resource.get("propertyDependencies") or {}).items():
        resource["propertyDependencies"][key] = [each for each in urns or [] if each in names]
    if resource.get("deletedWith") not in names:
        resource.pop("deletedWith", None)


def nodes_of(environment: dict[str, str]) -> Nodes | None:
    """Return the nodes in the container engine of this machine, None when there is no engine."""
    found = containers.find(environment)
    return Nodes(found) if found else None


def _remove_unfinished(cluster: str, nodes: Nodes | None, environment: dict[str, str]) -> None:
    """Remove a cluster of ours that no state has: its creation was killed, or its state was lost."""
    marker = Marker.read(cluster)
    if marker is None or nodes is None or marker.backend != environment.get("PULUMI_BACKEND_URL", ""):
        return
    with console.step(f"removing cluster {cluster}, which no state has"):
        nodes.remove(cluster)
        nodes.wait_gone(cluster)
        Marker.file(cluster).unlink(missing_ok=True)


def _forget(stack: str) -> None:
    kubeconfig_file(stack).unlink(missing_ok=True)
    for file in paths.state("runs").glob(f"{stack}-*"):
        file.unlink(missing_ok=True)


def _kubeconfig_entries(context: str) -> list[str]:
    """Return the kubeconfig files that people use and that still name a context."""
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    files = [Path(each) for each in [*named, str(Path("~/.kube/config").expanduser())] if each]
    return [f"{context} in {file}" for file in files if file.is_file() and f"name: {context}\n" in file.read_text()]


def _make_writable(function: Callable[[str], Any], path: str, _error: Any) -> None:
    """Let read-only files go: Go's module cache is full of them."""
    parent = Path(path).parent
    parent.chmod(parent.stat().st_mode | stat.S_IWUSR)
    if Path(path).is_dir() and not Path(path).is_symlink():
        Path(path).chmod(stat.S_IRWXU)
        shutil.rmtree(path, onerror=_make_writable)
        return
    function(path)
