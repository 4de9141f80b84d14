"""What a state, an operation and a cluster tell, cut down to what evidence needs: names and digests, never values."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components._core import images, paths
from mlops import properties
from mlops.evidence.history import Update
from mlops.loop.cluster import Cluster

__all__ = ["bounded", "commit", "images_named", "moves", "pod_security", "running", "served"]

MOST = 200
"""Entries of a list in a document; how many more there were is said beside it."""

ANNOTATION = "oss-mlops-platform"

_NAMESPACE = "kubernetes:core/v1:Namespace"
_ENFORCE = "pod-security.kubernetes.io/enforce"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SUBJECT = "serving.kserve.io/inferenceservice"


def bounded(items: Sequence[Any]) -> dict[str, Any]:
    """Return a list that cannot outgrow a document, with the number of those left out."""
    return {"items": list(items[:MOST]), "leftOut": max(0, len(items) - MOST)}


def commit(update: Update) -> dict[str, Any] | None:
    """Return the commit that an operation was run from; None where the engine saw no repository."""
    told = update.environment
    if not told.get("git.head"):
        return None
    return {
        "sha": told["git.head"],
        "branch": told.get("git.headName"),
        "dirty": told.get("git.dirty") != "false",
        "author": told.get("git.author"),
        "committer": told.get("git.committer"),
        "repository": "/".join(filter(None, (told.get("vcs.owner"), told.get("vcs.repo")))) or None,
    }


def images_named(resources: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the images that a state's objects name, and where each comes from."""
    found: set[str] = set()
    for resource in resources:
        # Encrypted values become nothing: a reference is never read out of one.
        found |= images.find_references(properties.plain(resource.get("inputs") or {}))
    return [_image(reference) for reference in sorted(found)]


def _image(reference: str) -> dict[str, Any]:
    name, _, tag = reference.partition("@")[0].rpartition(":")
    pinned = _DIGEST.search(reference.partition("@")[2])
    if images.is_local(reference):
        return {"reference": reference, "origin": "built here", "recipe": name.rpartition("/")[2], "key": tag}
    host = reference.partition("/")[0]
    registry = host if "/" in reference and ("." in host or ":" in host or host == "localhost") else "docker.io"
    return {
        "reference": reference,
        "origin": "registry",
        "registry": registry,
        "digest": pinned.group() if pinned else None,
    }


def pod_security(resources: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the stack's namespaces by the Pod Security level that they enforce; `none` for those without."""
    found: dict[str, list[str]] = defaultdict(list)
    for resource in resources:
        if resource["type"] == _NAMESPACE:
            metadata = (properties.plain(resource.get("inputs") or {})).get("metadata") or {}
            level = (metadata.get("labels") or {}).get(_ENFORCE, "none")
            found[str(level)].append(str(metadata.get("name")))
    return {level: sorted(names) for level, names in sorted(found.items())}


def moves(steps: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the engine's steps as operation, resource and the paths of what changed; the values stay out."""
    return sorted((_move(step) for step in steps), key=lambda each: (each["type"], each["name"], each["operation"]))


def _move(step: Mapping[str, Any]) -> dict[str, Any]:
    state = step.get("old") or step.get("new") or {}
    metadata = (state.get("inputs") or {}).get("metadata") or {}
    where = metadata if isinstance(metadata, Mapping) else {}
    named = "/".join(str(where[key]) for key in ("namespace", "name") if isinstance(where.get(key), str))
    urn = str(step["urn"])
    changed = sorted({*(step.get("detailedDiff") or {}), *(step.get("diffs") or [])})
    return {
        "operation": step["op"],
        "type": urn.split("::")[-2].rpartition("$")[2],
        "name": urn.rpartition("::")[2],
        "object": named or None,
        "changed": changed[:20],
    }


def served(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the models behind InferenceServices, as those say, with the images that their pods run."""
    pods = _by_service(cluster)
    found = []
    for each in cluster.items("/apis/serving.kserve.io/v1beta1/inferenceservices"):
        metadata = each["metadata"]
        notes = metadata.get("annotations") or {}
        place = f"{metadata['namespace']}/{metadata['name']}"
        conditions = {entry["type"]: entry["status"] for entry in each.get("status", {}).get("conditions", [])}
        found.append(
            {
                "inferenceService": place,
                "model": notes.get(f"{ANNOTATION}/model-name"),
                "version": notes.get(f"{ANNOTATION}/model-version"),
                "runId": notes.get(f"{ANNOTATION}/run-id"),
                "digest": notes.get(f"{ANNOTATION}/digest"),
                "storageUri": each["spec"].get("predictor", {}).get("model", {}).get("storageUri"),
                "ready": conditions.get("Ready") == "True",
                "images": pods.get(place, []),
            }
        )
    return sorted(found, key=lambda each: str(each["inferenceService"]))


def running(cluster: Cluster) -> dict[str, list[str]]:
    """Return the digests that the nodes have for the images of the platform's pods, by reference."""
    found: dict[str, set[str]] = defaultdict(set)
    for pod in _pods(cluster):
        for reference, digest in _digests(pod):
            found[reference].add(digest)
    return {reference: sorted(digests) for reference, digests in sorted(found.items())}


def _by_service(cluster: Cluster) -> dict[str, list[dict[str, str]]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for pod in cluster.items("/api/v1/pods", labelSelector=_SUBJECT):
        metadata = pod["metadata"]
        found[f"{metadata['namespace']}/{metadata['labels'][_SUBJECT]}"].update(_digests(pod))
    return {
        place: [{"reference": reference, "digest": digest} for reference, digest in sorted(told.items())]
        for place, told in found.items()
    }


def _pods(cluster: Cluster) -> list[dict[str, Any]]:
    selector = f"app.kubernetes.io/part-of={paths.APPLICATION}"
    namespaces = [each["metadata"]["name"] for each in cluster.items("/api/v1/namespaces", labelSelector=selector)]
    return [pod for name in namespaces for pod in cluster.items(f"/api/v1/namespaces/{name}/pods")]


def _digests(pod: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the image references of a pod's containers with the digest that the node runs."""
    wanted = {each["name"]: each["image"] for each in _containers(pod)}
    status = pod.get("status", {})
    told = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    pairs = [(wanted.get(each["name"]), _DIGEST.search(each.get("imageID") or "")) for each in told]
    return [(reference, digest.group()) for reference, digest in pairs if reference and digest]


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"].get("containers", [])]
