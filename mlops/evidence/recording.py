"""Write down what was done to a stack since the last time: each operation of the engine becomes a document."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import json
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from cabc_platform.documents import Document, digest, verify

from components._core import paths, plan
from mlops import console, validate
from mlops.engine import Stack
from mlops.errors import MlopsError, OperationError
from mlops.evidence import facts
from mlops.evidence.document import following
from mlops.evidence.history import Update, updates
from mlops.evidence.keeping import ClusterChain, FileChain, united
from mlops.loop.cluster import Cluster

__all__ = ["BY_HAND", "connect", "drift", "last", "record", "record_quietly"]

BY_HAND = "mlops evidence record"
"""Also what is said to have told of operations that somebody typed before."""

_SILENT = {"same", "refresh", "read", "read-replacement", "read-discard"}
"""Steps of the engine that change nothing."""


def record_quietly(stack: Stack, command: str, *, since: dt.datetime | None = None, cluster: bool = True) -> None:
    """Record after `command`, which has done its work whether or not this succeeds; a failure is told, not raised.

    `since` is as for `record`. What is missed now the next recording catches up on: the engine's history keeps it.
    """
    try:
        written = record(stack, command, connect(stack) if cluster else None, since=since)
    except MlopsError as error:
        console.err.print(f"{console.WARNING} no evidence was recorded:", end=" ")
        console.err.print(f"{error.message}; then: {BY_HAND} --stack {stack.name}", markup=False)
        return
    if written:
        console.err.print(f"[green]{console.OK}[/] evidence: {', '.join(entry.name for entry in written)}")


def connect(stack: Stack) -> Cluster | None:
    """Return the stack's cluster; None when it cannot be reached or the stack has none."""
    with contextlib.suppress(OperationError, OSError):
        cluster = Cluster(stack.kubeconfig())
        cluster.get("/version")
        return cluster
    return None


def record(stack: Stack, command: str, cluster: Cluster | None, *, since: dt.datetime | None = None) -> list[Document]:
    """Write a document for every operation that has none, and one where other models are served than was written.

    `since` is when `command` began to operate the engine: only an operation that began no earlier is its own.
    Raises OperationError when what is kept does not hold: nothing may be built on a broken chain.
    """
    chain = _Chain(stack.name, cluster)
    new = _unrecorded(updates(stack), chain.entries)
    models = None if cluster is None else facts.served(cluster)
    for update in new:
        # Only the last is this command's own, and only for it the cluster still shows what it made.
        if update is new[-1]:
            now = stack.resources() if update.checkpoint is None else None
            own = since is not None and dt.datetime.fromisoformat(update.started) >= since.replace(microsecond=0)
            by = _by(update, command if own else None)
            told = _update(stack, update, chain, by, command=command, cluster=cluster, models=models, resources=now)
        else:
            by = _by(update, None)
            told = _update(stack, update, chain, by, command=BY_HAND, cluster=None, models=None, resources=None)
        chain.add("update", told)
    if not new and models is not None and _versions(models) != _versions(_last_served(chain.entries)):
        chain.add("served", {**_head(stack, command), "served": facts.bounded(models)})
    return chain.keep()


def drift(stack: Stack, command: str, cluster: Cluster | None) -> Document:
    """Compare the cluster with the state and write down what differs, since when, and what no longer does."""
    chain = _Chain(stack.name, cluster)
    found = facts.moves(stack.differences())
    now = _now()
    before = last(chain.entries, "drift")
    known = {_which(each): each for each in (before.body["drift"]["open"]["items"] if before else [])}
    here = {_which(each) for each in found}
    opened = [{**each, "since": known.get(_which(each), {}).get("since", now)} for each in found]
    resolved = [
        {**each, "resolved": now, "resolvedAfter": before.body["recorded"]["at"] if before else None}
        for which, each in known.items()
        if which not in here
    ]
    chain.add(
        "drift",
        {
            **_head(stack, command, at=now),
            "drift": {"open": facts.bounded(opened), "resolved": facts.bounded(resolved), "objects": len(opened)},
        },
    )
    return chain.keep()[-1]


def last(entries: Iterable[Document], kind: str) -> Document | None:
    """Return the last document of a kind."""
    return next((entry for entry in reversed(list(entries)) if _is(entry, kind)), None)


class _Chain:
    """The documents of both places, and what is about to be added to them."""

    def __init__(self, stack: str, cluster: Cluster | None) -> None:
        self._file = FileChain.of(stack)
        self._place = ClusterChain(cluster) if cluster is not None else None
        if self._place is not None and not self._place.ready():
            self._place = None
        self._in_file = self._file.entries()
        self._in_cluster = self._place.entries() if self._place else []
        self.entries = united(self._in_file, self._in_cluster)
        if faults := verify(self.entries):
            msg = f"the evidence of stack {stack} does not hold: {faults[0]}"
            raise OperationError(msg, fix=f"mlops evidence verify --stack {stack} names every fault")
        self._new: list[Document] = []

    def add(self, kind: str, told: Mapping[str, Any]) -> None:
        """Put a document behind the others."""
        entry = following(self.entries, kind, told)
        self.entries.append(entry)
        self._new.append(entry)

    def keep(self) -> list[Document]:
        """Write everything to both places, the file first; return what is new."""
        held = {entry.number for entry in self._in_file}
        self._file.append(entry for entry in self.entries if entry.number not in held)
        if self._place is not None and self.entries:
            begin = int(self.entries[-1].body["keptFrom"])
            there = {entry.number for entry in self._in_cluster}
            self._place.put(each for each in self.entries if each.number >= begin and each.number not in there)
            self._place.forget(each for each in self._in_cluster if each.number < begin)
        return self._new


def _update(
    stack: Stack,
    update: Update,
    chain: _Chain,
    by: Mapping[str, Any],
    *,
    command: str,
    cluster: Cluster | None,
    models: list[dict[str, Any]] | None,
    resources: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    """Return what is known of one operation. `resources` are those of the state where no copy of it is kept."""
    resources = update.resources() if resources is None else resources
    steps = _steps(stack, update)
    open_drift = last(chain.entries, "drift")
    return {
        **_head(stack, command),
        "update": {
            "key": list(update.key),
            "number": update.number,
            "operation": update.kind,
            "started": update.started,
            "ended": update.ended,
            "result": update.result,
            "previewed": not _skipped_preview(update),
            "appliedBy": by,
            "build": {key: value for key, value in sorted(update.environment.items()) if key in _BUILD} or None,
            "engine": update.environment.get("pulumi.version"),
            "changes": dict(update.changes),
            "steps": None if steps is None else facts.bounded(facts.moves(steps)),
        },
        "commit": facts.commit(update),
        "images": _images(resources, cluster),
        "checks": _checks(stack, resources, command),
        "drift": None
        if open_drift is None
        else {"checked": open_drift.body["recorded"]["at"], "open": open_drift.body["drift"]["objects"]},
        "served": None if cluster is None or models is None else facts.bounded(models),
    }


_BUILD = {"ci.system", "ci.build.id", "ci.build.number", "ci.build.type", "ci.pr.number", "ci.pr.headSHA"}


def _head(stack: Stack, command: str, *, at: str | None = None) -> dict[str, Any]:
    return {
        "stack": stack.name,
        "project": stack.project_name,
        "recorded": {"at": at or _now(), "by": _me(), "command": command},
    }


def _unrecorded(all_: list[Update], entries: list[Document]) -> list[Update]:
    """Return the operations that no document tells of, given in their order, as the documents are."""
    known = {tuple(entry.body["update"]["key"]) for entry in entries if _is(entry, "update")}
    first = next((place for place, update in enumerate(all_) if update.key in known), 0)
    # What comes before the first known one has documents that are not kept here.
    begin = first if entries and entries[0].number > 1 else 0
    return [update for update in all_[begin:] if update.key not in known]


def _by(update: Update, command: str | None) -> dict[str, Any]:
    """Return who ran an operation and how that is known; `command` is what ran it, where that is known."""
    if command is not None:
        return {**_me(), "known": f"ran {command}"}
    if update.owner:
        return {"user": update.owner, "host": None, "known": "owns the file in the state's history"}
    return {"user": None, "host": None, "known": "not known: the engine's history names nobody"}


def _me() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        user = f"uid {os.getuid()}"
    return {"user": user, "host": socket.gethostname()}


def _skipped_preview(update: Update) -> bool:
    told = update.environment
    return "true" in {told.get("pulumi.flag.skip-preview"), told.get("pulumi.env.PULUMI_SKIP_PREVIEW")}


def _images(resources: list[dict[str, Any]] | None, cluster: Cluster | None) -> dict[str, Any] | None:
    if resources is None:
        return None
    nodes = {} if cluster is None else facts.running(cluster)
    named = [{**each, "running": nodes.get(each["reference"], [])} for each in facts.images_named(resources)]
    return facts.bounded(named)


def _checks(stack: Stack, resources: list[dict[str, Any]] | None, command: str) -> list[dict[str, Any]]:
    """Return what was checked, when, and what came out; nothing that was not done."""
    done = []
    form = plan.stack_file(stack.name) if stack.project == paths.CHECKOUT else None
    if form is not None and form.exists():
        found = validate.check(form)
        done.append(
            {
                "check": "order form",
                "digest": digest(form.read_text()),
                "findings": len(found),
                "result": "failed" if found else "passed",
                "when": "before and after mlops up" if command == "mlops up" else "at recording",
            }
        )
    if resources is not None:
        levels = facts.pod_security(resources)
        unpinned = [
            each for each in facts.images_named(resources) if each["origin"] == "registry" and not each["digest"]
        ]
        done += [
            {
                "check": "pod security",
                "namespaces": levels,
                "result": "failed" if levels.get("none") else "passed",
                "when": "in the state after the operation",
            },
            {
                "check": "images named by content",
                "unpinned": [each["reference"] for each in unpinned[: facts.MOST]],
                "result": "failed" if unpinned else "passed",
                "when": "in the state after the operation",
            },
        ]
    return done


def _steps(stack: Stack, update: Update) -> list[dict[str, Any]] | None:
    """Return what the engine did, from the log of events of this very operation; None where none is left of it."""
    operation = {"update": "up", "destroy": "destroy"}.get(update.kind)
    log = paths.state("runs", f"{stack.name}-{operation}.events.jsonl")
    if operation is None or not log.exists():
        return None
    begin, end = (dt.datetime.fromisoformat(text).timestamp() for text in (update.started, update.ended))
    steps, times = [], []
    for line in log.read_text().splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            times.append(int(event.get("timestamp") or 0))
            if "resOutputsEvent" in event:
                steps.append(event["resOutputsEvent"]["metadata"])
    # The engine counts whole seconds, and notes the beginning before its first event and the end after its last.
    if not times or min(times) < begin - 2 or max(times) > end + 2:
        return None
    return [step for step in steps if step["op"] not in _SILENT]


def _last_served(entries: list[Document]) -> list[dict[str, Any]]:
    for entry in reversed(entries):
        if (told := entry.body.get("served")) is not None:
            items: list[dict[str, Any]] = told["items"]
            return items
    return []


def _versions(models: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return which models answer; whether they are ready at this moment is no change of that."""
    return [tuple(each[key] for key in ("inferenceService", "model", "version", "runId", "digest")) for each in models]


def _which(each: Mapping[str, Any]) -> tuple[str, str]:
    return (str(each["type"]), str(each["name"]))


def _is(entry: Document, kind: str) -> bool:
    return bool(entry.body.get("kind") == kind)


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
