"""Show what the engine does while it does it: a live table on a terminal, a line per resource elsewhere."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mlops import console

__all__ = ["Problem", "Progress"]

_SHOWN = 12
"""Rows of the live table."""

_DONE = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "create-replacement": "replaced",
    "delete-replaced": "removed the old",
    "import": "adopted",
    "discard": "forgot",
    "discard-replaced": "forgot the old",
    "read": "read",
}
"""Operations that change something, with the word for one that is done; all others are silent."""


_CANCELED = "update canceled"
"""What the engine says after Ctrl-C, to somebody who knows."""


@dataclass(frozen=True)
class Problem:
    """An error of the engine or of a provider, and the resource it is about."""

    resource: str
    message: str


@dataclass
class _Running:
    label: str
    operation: str
    since: float
    says: str = ""


@dataclass
class Progress:
    """Follows one operation of the engine by its events."""

    out: Console = field(default_factory=lambda: console.err)
    running: dict[str, _Running] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    changes: Mapping[str, int] = field(default_factory=dict)
    """What the engine counted itself, by operation; empty until it is done."""

    _live: Live | None = None
    _said: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        if self.out.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.out, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the engine."""
        if before := event.get("resourcePreEvent"):
            self._begin(before["metadata"])
        elif after := event.get("resOutputsEvent"):
            self._end(after["metadata"])
        elif failed := event.get("resOpFailedEvent"):
            self._fail(failed["metadata"])
        elif said := event.get("diagnosticEvent"):
            self._hear(said)
        elif summary := event.get("summaryEvent"):
            self.changes = summary.get("resourceChanges") or {}

    @property
    def summary(self) -> str:
        """Return what was done in a few words."""
        words: Counter[str] = Counter()
        for operation, number in self.done.items():
            words[_DONE.get(operation, "")] += number
        parts = [f"{number} {word}" for word, number in words.items() if word]
        if same := self.changes.get("same"):
            parts.append(f"{same} unchanged")
        return ", ".join(parts) or "nothing to do"

    def _begin(self, step: Mapping[str, Any]) -> None:
        if (step["op"] in _DONE or step["op"] == "refresh") and _is_real(step):
            self.running[step["urn"]] = _Running(_label(step["urn"]), step["op"], time.monotonic())

    def _end(self, step: Mapping[str, Any]) -> None:
        running = self.running.pop(step["urn"], None)
        word = _DONE.get(step["op"])
        if word is None or not _is_real(step):
            return
        self.done[step["op"]] += 1
        if not self._live and step["op"] != "read":
            seconds = f"  [dim]{time.monotonic() - running.since:.1f} s[/]" if running else ""
            self.out.print(f"  {word} {escape(_label(step['urn']))}{seconds}")

    def _fail(self, step: Mapping[str, Any]) -> None:
        self.running.pop(step["urn"], None)

    def _hear(self, said: Mapping[str, Any]) -> None:
        urn, severity = said.get("urn", ""), said.get("severity", "")
        message = _plain(said.get("message", "")).strip()
        if not message or severity == "debug":
            return
        if severity == "error":
            self._complain(urn, message)
            return
        if urn in self.running:
            self.running[urn].says = message.splitlines()[-1]
        elif severity == "warning" and not said.get("ephemeral") and message not in self._said:
            self._said.add(message)
            self.out.print(f"[yellow]{console.WARNING}[/] {escape(message)}")
        elif severity == "info" and not said.get("ephemeral"):
            self.out.print(escape(message), style="dim")

    def _complain(self, urn: str, message: str) -> None:
        label = _label(urn) if urn else ""
        if message == _CANCELED or any(problem.message == message for problem in self.problems):
            return
        self.problems.append(Problem(label, message))
        self.out.print(f"[red]{console.FAILED}[/] {escape(label)}{': ' if label else ''}{escape(message)}")

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        running = list(self.running.values())  # a copy: the table is drawn by another thread
        # Long-running first: they are what people wait for.
        ordered = sorted(running, key=lambda each: each.since)
        for each in ordered[:_SHOWN]:
            table.add_row(
                Text(f"  {each.operation}", style="cyan"),
                Text(each.label),
                Text(f"{time.monotonic() - each.since:.0f} s", style="dim"),
                Text(each.says, style="dim", overflow="ellipsis", no_wrap=True),
            )
        more = len(ordered) - _SHOWN
        head = Text(f"  {sum(self.done.values())} done{f', {more} more under way' if more > 0 else ''}", style="bold")
        return Group(head, table)


def _is_real(step: Mapping[str, Any]) -> bool:
    """Tell whether a step is about something a provider makes, not about a component or the stack around it."""
    return bool((step.get("new") or step.get("old") or {}).get("custom"))


def _label(urn: str) -> str:
    """Return `Deployment mlflow` for a resource's full name."""
    parts = urn.split("::")
    if len(parts) < 4:  # noqa: PLR2004 (urn:pulumi:stack::project::type::name)
        return urn
    kind = parts[2].rpartition("$")[2].rpartition(":")[2]
    return f"{kind} {'::'.join(parts[3:])}"


def _plain(text: str) -> str:
    """Drop the engine's colour marks."""
    return re.sub(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m", "", text)
