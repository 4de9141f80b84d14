"""Moves images between the store, the container engine and the nodes of a cluster."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from components._core.engine import Engine
from components._core.images import LOCAL
from mlops.errors import OperationError
from mlops.images.store import Store, Stored

__all__ = ["held_by_node", "into_engine", "into_node", "nodes", "prune", "save", "sweep"]

_CTR = ("ctr", "--namespace", "k8s.io")


def save(engine: Engine, store: Store, made: str, reference: str) -> Stored:
    """Copy an image that the engine has as `made` into the store as `reference`."""
    options = ["--format", "docker-archive", "--quiet"] if engine.name == "podman" else []
    command = [engine.name, "save", *options, made]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(engine.environment)) as run:
        assert run.stdout is not None  # noqa: S101 (said by stdout=PIPE)
        assert run.stderr is not None  # noqa: S101 (said by stderr=PIPE)
        stored = store.add(reference, run.stdout)
        run.stdout.read()
        said = run.stderr.read().decode(errors="replace").strip()
    if run.returncode:
        msg = f"`{' '.join(command)}` failed: {said}"
        raise OperationError(msg)
    return stored


def sweep(engine: Engine) -> None:
    """Remove what builds of ours that were killed left in the engine. No other build of ours may be running."""
    if engine.name != "podman":
        return  # docker builds leave nothing but their cache
    rows = engine.run("ps", "--all", "--external", "--format", "{{.ID}} {{.Names}} {{.Image}}").splitlines()
    for row in rows:
        container, _, rest = row.partition(" ")
        name, _, image = rest.partition(" ")
        if "working-container" in name and image.startswith(f"{LOCAL}/"):
            engine.run("rm", "--force", container, check=False)
    for reference in engine.run("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if reference.startswith(f"{LOCAL}/") and ":building-" in reference:
            engine.run("image", "rm", reference, check=False)


def prune(engine: Engine, keep: AbstractSet[str]) -> None:
    """Remove our images from the engine that are not kept and that no container uses."""
    rows = engine.run("images", "--filter", f"reference={LOCAL}/*", "--format", "{{.Repository}}:{{.Tag}}").split()
    for reference in rows:
        if reference not in keep:
            engine.run("image", "rm", reference, check=False)


def into_engine(engine: Engine, store: Store, stored: Stored) -> bool:
    """Give an image to the engine; tell whether it was new there."""
    if engine.inspect("image", stored.reference):
        return False
    _pipe(engine, ["load"], store, stored)
    if not engine.inspect("image", stored.reference):  # taken in by its content, without its name
        engine.run("tag", stored.config.digest.removeprefix("sha256:"), stored.reference)
    return True


def nodes(engine: Engine, cluster: str) -> list[str]:
    """Return the node containers of a kind cluster. Raises OperationError when there is none."""
    found = engine.run(
        "ps", "--filter", f"label=io.x-k8s.kind.cluster={cluster}", "--format", "{{.Names}}", timeout=30
    ).split()
    if not found:
        msg = f"there is no running kind cluster named {cluster!r} in {engine.name}"
        raise OperationError(msg, fix="mlops up, or --cluster with the name of another")
    return sorted(found)


def held_by_node(engine: Engine, node: str) -> dict[str, str]:
    """Return the images of a node: manifest digest by name."""
    lines = engine.run("exec", node, *_CTR, "images", "ls", timeout=60).splitlines()[1:]
    return {columns[0]: columns[2] for columns in map(str.split, lines) if len(columns) > 2}  # noqa: PLR2004 (the columns read)


def into_node(engine: Engine, store: Store, node: str, stored: Stored) -> bool:
    """Give an image to the containerd of a node; tell whether it was new there. Only missing layers travel."""
    if held_by_node(engine, node).get(stored.reference) == stored.manifest.digest:
        return False
    held = _content(engine, node)
    arguments = ["exec", "-i", node, *_CTR, "images", "import", "--digests=false", "-"]
    _pipe(engine, arguments, store, stored, without=held & {layer.digest for layer in stored.layers})
    if held_by_node(engine, node).get(stored.reference) != stored.manifest.digest:
        msg = f"node {node} took in image {stored.reference} and does not have it under that name"
        raise OperationError(msg, fix=f"{engine.name} exec {node} ctr -n k8s.io images ls")
    return True


def _content(engine: Engine, node: str) -> set[str]:
    return set(engine.run("exec", node, *_CTR, "content", "ls", "-q", timeout=60).split())


def _pipe(
    engine: Engine, arguments: Sequence[str], store: Store, stored: Stored, without: AbstractSet[str] = frozenset()
) -> None:
    """Run a command of the engine that reads an image from its input."""
    command = [engine.name, *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(engine.environment),
    ) as run:
        assert run.stdin is not None  # noqa: S101 (said by stdin=PIPE)
        assert run.stdout is not None  # noqa: S101 (said by stdout=PIPE)
        said: list[bytes] = []
        reader = threading.Thread(target=lambda stream: said.append(stream.read()), args=(run.stdout,))
        reader.start()
        try:
            store.write(stored, run.stdin, without)
            run.stdin.close()
        except BrokenPipeError:
            pass  # the command ended early: its exit code and its words say why
        finally:
            reader.join()
    if run.returncode:
        last = b"".join(said).decode(errors="replace").strip().splitlines()[-3:]
        msg = f"`{' '.join(command)}` failed for image {stored.reference}: {' / '.join(last)}"
        raise OperationError(msg)
