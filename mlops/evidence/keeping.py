"""Where documents are kept: a file beside the state that only grows, and immutable ConfigMaps in the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cabc_platform.documents import Document

from components._core import paths
from components._core.component import labels
from mlops.errors import OperationError
from mlops.loop.cluster import Cluster

__all__ = ["NAMESPACE", "ClusterChain", "FileChain", "united"]

NAMESPACE = "infrastructure-evidence"
"""Made by the component of that name."""

LABEL = "oss-mlops-platform/evidence"
"""Its value is the kind of the document."""

KEY = "document.json"


@dataclass(frozen=True)
class FileChain:
    """One line per document; nothing in it is ever rewritten but a last line that a power cut left unfinished."""

    path: Path

    @classmethod
    def of(cls, stack: str) -> FileChain:
        """Return a stack's file. It outlives the stack: that something was removed is evidence as well."""
        return cls(paths.state("evidence", f"{stack}.jsonl"))

    def entries(self) -> list[Document]:
        """Return the documents, as they are."""
        if not self.path.exists():
            return []
        *whole, _ = self.path.read_text().split("\n")
        return [Document(line) for line in whole]

    def append(self, entries: Iterable[Document]) -> None:
        """Add documents; they are on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            written = file.read()
            file.seek(written.rfind(b"\n") + 1)
            file.truncate()
            file.write(b"".join(f"{entry.text}\n".encode() for entry in entries))
            file.flush()
            os.fsync(file.fileno())


class ClusterChain:
    """ConfigMaps that the API server refuses to change; who removes one leaves a gap in the chain."""

    def __init__(self, cluster: Cluster, namespace: str = NAMESPACE) -> None:
        self._cluster = cluster
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._namespace = f"/api/v1/namespaces/{namespace}"

    def ready(self) -> bool:
        """Tell whether the cluster has the component."""
        return self._cluster.get(self._namespace) is not None

    def entries(self) -> list[Document]:
        """Return the documents in the cluster, by their numbers. Raises OperationError for one that is none."""
        found = self._cluster.items(self._path, labelSelector=LABEL)
        entries = [Document(str((each.get("data") or {}).get(KEY, ""))) for each in found]
        try:
            return sorted(entries, key=lambda entry: entry.number)
        except (ValueError, KeyError, TypeError) as error:
            msg = f"a ConfigMap of {self._path} with label {LABEL} holds no document: {error}"
            raise OperationError(msg, fix="remove what is not evidence from the namespace") from error

    def put(self, entries: Iterable[Document]) -> None:
        """Create what is not there yet."""
        for entry in entries:
            manifest = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": entry.name,
                    "labels": {**labels(NAMESPACE), LABEL: entry.body["kind"]},
                    "annotations": {"oss-mlops-platform/digest": entry.digest},
                },
                "immutable": True,
                "data": {KEY: entry.text},
            }
            self._cluster.create(self._path, manifest)

    def forget(self, entries: Iterable[Document]) -> None:
        """Remove documents that the last one does not promise to be there any more."""
        for entry in entries:
            self._cluster.delete(f"{self._path}/{entry.name}")


def united(file: list[Document], cluster: list[Document]) -> list[Document]:
    """Return one chain of both places. Raises OperationError where they tell of different pasts.

    Another machine may have recorded since, then the cluster has more; a cluster that was made anew has less.
    """
    numbers = {entry.number: entry for entry in file}
    for entry in cluster:
        known = numbers.setdefault(entry.number, entry)
        if known.text != entry.text:
            msg = f"document {entry.number} is {known.digest} in the file and {entry.digest} in the cluster"
            raise OperationError(msg, fix="mlops evidence verify names what was changed; nothing was recorded")
    return [numbers[number] for number in sorted(numbers)]
