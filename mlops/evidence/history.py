"""What the engine remembers of its operations, and, where its backend is a folder, the state after each."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops import runs
from mlops.engine import Stack

__all__ = ["Update", "updates"]

_HISTORY, _CHECKPOINT = ".history.json", ".checkpoint.json"


@dataclass(frozen=True)
class Update:
    """One operation of the engine that was carried out."""

    number: int
    """Its place in the stack's history, from 1; a stack that was removed begins anew."""

    kind: str
    started: str
    ended: str
    result: str
    changes: Mapping[str, int]
    environment: Mapping[str, str]
    """What the engine noted of its surroundings: commit, flags by name, build server."""

    owner: str | None = None
    """Who wrote it into the backend's folder; None where the backend is none."""

    checkpoint: Path | None = None
    """Copy of the state right after it."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what tells it from every other, also after the stack began anew."""
        return (self.kind, self.started, self.ended)

    def resources(self) -> list[dict[str, Any]] | None:
        """Return the resources in the state after it, secrets encrypted; None where no copy can be read."""
        if self.checkpoint is None:
            return None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            content = self.checkpoint.read_bytes()
            text = gzip.decompress(content) if self.checkpoint.suffix == ".gz" else content
            latest = json.loads(text)["checkpoint"]["latest"] or {}
            return list(latest.get("resources") or [])
        return None


def updates(stack: Stack) -> list[Update]:
    """Return the finished operations of a stack, the oldest first."""
    told = list(reversed(stack.history()))
    files = _files(stack)
    if len(files) != len(told):  # another operation ended in between, or files were removed by hand
        files = [None] * len(told)
    return [
        _update(number, entry, file)
        for number, (entry, file) in enumerate(zip(told, files, strict=True), 1)
        if entry.get("endTime")  # others are under way, or were killed before the engine could note it
    ]


def _files(stack: Stack) -> list[Path | None]:
    """Return the history's files, which sort by their time as the engine's own list does."""
    folder = runs.backend_folder(stack.environment.get("PULUMI_BACKEND_URL", ""))
    if folder is None:
        return []
    found = folder.joinpath("history", stack.project_name, stack.name).glob(f"*{_HISTORY}*")
    return [*sorted(file for file in found if not file.name.endswith(".attrs"))]


def _update(number: int, entry: Mapping[str, Any], file: Path | None) -> Update:
    checkpoint = file.with_name(file.name.replace(_HISTORY, _CHECKPOINT)) if file else None
    owner = None
    if file:
        with contextlib.suppress(OSError, KeyError):  # a user who was removed has no name
            owner = file.owner()
    return Update(
        number=number,
        kind=str(entry["kind"]),
        started=_instant(entry["startTime"]),
        ended=_instant(entry["endTime"]),
        result=str(entry.get("result") or "unknown"),
        changes=dict(entry.get("resourceChanges") or {}),
        environment=dict(entry.get("environment") or {}),
        owner=owner,
        checkpoint=checkpoint if checkpoint and checkpoint.exists() else None,
    )


def _instant(text: str) -> str:
    """Return an instant of the engine, which knows whole seconds, as the documents spell it."""
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
