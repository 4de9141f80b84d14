"""What the user sees: results on stdout, progress and errors on stderr, plain lines when not a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

__all__ = ["FAILED", "OK", "WARNING", "err", "out", "step"]

OK, FAILED, WARNING = "✔", "✖", "‼"

out = Console(soft_wrap=True, highlight=False)
"""Results: tables, JSON."""

err = Console(stderr=True, soft_wrap=True, highlight=False)
"""Progress and errors."""


@contextmanager
def step(name: str, *, expected: float | None = None) -> Iterator[None]:
    """Show `name` while the block runs, then one line with its outcome and seconds.

    On a terminal the line is live; elsewhere one line is printed at the start of a step that is expected to
    take over five seconds, and one at its end. `expected` is in seconds and is shown, not enforced.
    """
    started = time.monotonic()
    hint = f" (about {expected:.0f} s)" if expected else ""
    try:
        if err.is_terminal:
            with err.status(f"{name}{hint} …"):
                yield
        else:
            if expected and expected > 5:  # noqa: PLR2004 (said in the docstring)
                err.print(f"  {name}{hint} …")
            yield
    except BaseException:
        err.print(f"[red]{FAILED}[/] {name}  [dim]{time.monotonic() - started:.1f} s[/]")
        raise
    err.print(f"[green]{OK}[/] {name}  [dim]{time.monotonic() - started:.1f} s[/]")
