"""Read and check what is kept, with and without the cluster."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from cabc_platform import documents
from cabc_platform.documents import Document, Fault, verify

from mlops.errors import OperationError, UsageError
from mlops.evidence.keeping import ClusterChain, FileChain, united
from mlops.loop.cluster import Cluster

__all__ = ["Checked", "check", "entries", "instant"]


@dataclass(frozen=True)
class Checked:
    """What a check looked at and what is wrong."""

    in_file: int
    in_cluster: int | None
    """None where the cluster was not asked or has no component for it."""

    begins: int
    """Number of the file's first document. After 1 where this machine took over what the cluster still had."""

    faults: list[Fault]


def entries(stack: str, cluster: Cluster | None) -> list[Document]:
    """Return every document of a stack. Raises OperationError where file and cluster contradict each other."""
    place = ClusterChain(cluster) if cluster is not None else None
    return united(FileChain.of(stack).entries(), place.entries() if place and place.ready() else [])


def check(stack: str, cluster: Cluster | None) -> Checked:
    """Check both places for themselves, and one against the other."""
    file = FileChain.of(stack).entries()
    faults = [Fault(f"file, {fault.where}", fault.what) for fault in verify(file)]
    begins = 1 if faults or not file else file[0].number
    place = ClusterChain(cluster) if cluster is not None else None
    if place is None or not place.ready():
        return Checked(len(file), None, begins, faults)
    try:
        there = place.entries()
    except OperationError as error:
        return Checked(len(file), None, begins, [*faults, Fault("cluster", error.message)])
    faults += [Fault(f"cluster, {fault.where}", fault.what) for fault in verify(there)]
    if not faults:
        faults += _compare(file, there)
    return Checked(len(file), len(there), begins, faults)


def instant(text: str) -> dt.datetime:
    """Return an instant with its time zone. Raises UsageError for any other text."""
    try:
        return documents.instant(text)
    except ValueError as error:
        msg = f"found {text!r}, wanted an instant with its time zone"
        raise UsageError(msg, fix="write for example 2026-11-30T12:00:00Z") from error


def _compare(file: list[Document], there: list[Document]) -> list[Fault]:
    """Compare two chains that each hold: the end of one can still have been cut off."""
    faults = []
    here = {entry.number: entry for entry in file}
    for entry in there:
        known = here.get(entry.number)
        if known is None:
            faults.append(Fault("file", f"lacks {entry.name}, which the cluster has: record here to take it over"))
        elif known.text != entry.text:
            faults.append(Fault(entry.name, f"is {known.digest} in the file and {entry.digest} in the cluster"))
    last = there[-1].number if there else 0
    faults += [
        Fault("cluster", f"lacks {entry.name}, which the file has: removed there, or the cluster is a new one")
        for entry in file
        if entry.number > last
    ]
    return faults
