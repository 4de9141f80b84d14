"""What the user sees while tools are built: each with its state, the time it took, the time it is expected to take."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mlops import console

__all__ = ["Progress"]

REPEAT_SECONDS = 30.0
"""How often a plain log is told that a build still goes on."""


@dataclass
class _Row:
    label: str
    expected: float
    started: float | None = None
    ended: float | None = None
    failed: bool = False

    def seconds(self) -> float:
        return 0.0 if self.started is None else (self.ended or time.monotonic()) - self.started

    def cells(self) -> tuple[str, str, str]:
        if self.started is None:
            return "[dim]·[/]", f"[dim]{self.label}[/]", f"[dim]about {_span(self.expected)}[/]"
        if self.ended is None:
            return "[cyan]…[/]", self.label, f"{_span(self.seconds())} of about {_span(self.expected)}"
        mark = f"[red]{console.FAILED}[/]" if self.failed else f"[green]{console.OK}[/]"
        return mark, self.label, f"[dim]{_span(self.seconds())}[/]"


@dataclass
class Progress:
    """One row per tool, live on a terminal; elsewhere a line at start and end of each, and one every half minute."""

    work: Sequence[tuple[str, float]]
    """What is shown of each tool, and the seconds it is expected to take."""
    output: Console = field(default_factory=lambda: console.err)
    repeat: float = REPEAT_SECONDS

    def __post_init__(self) -> None:
        self._rows = {label: _Row(label, expected) for label, expected in self.work}
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Show the table while the block runs."""
        if not self.output.is_terminal:
            yield self
            return
        with Live(get_renderable=self._table, console=self.output, refresh_per_second=2) as self._live:
            yield self

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Mark one tool as worked on while the block runs, and as failed when it raises."""
        row = self._rows[label]
        row.started = time.monotonic()
        self._say(f"{label}: about {_span(row.expected)}")
        done = threading.Event()
        if self._live is None:
            threading.Thread(target=self._repeat, args=(row, done), daemon=True).start()
        try:
            yield
        except BaseException:
            row.failed = True
            raise
        finally:
            row.ended = time.monotonic()
            done.set()
            mark, text, seconds = row.cells()
            self._say(f"{mark} {text}  {seconds}")

    def note(self, text: str) -> None:
        """Say something beside the table."""
        (self._live.console if self._live else self.output).print(text)

    def elapsed(self, label: str) -> float:
        """Return the seconds a tool has taken so far."""
        return self._rows[label].seconds()

    def _say(self, text: str) -> None:
        if self._live is None:
            self.output.print(text)

    def _repeat(self, row: _Row, done: threading.Event) -> None:
        while not done.wait(self.repeat):
            self._say(f"  {row.label}: {_span(row.seconds())} of about {_span(row.expected)}")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for row in self._rows.values():
            table.add_row(*row.cells())
        total = sum(row.expected for row in self._rows.values())
        spent = sum(row.seconds() for row in self._rows.values())
        table.add_row("", "[dim]together[/]", f"[dim]{_span(spent)} of about {_span(total)}[/]")
        return table


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
