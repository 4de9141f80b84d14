"""What the loop found out: one fact per assertion, one line per stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlops.errors import OperationError

__all__ = ["Fact", "Ledger", "Stage", "StageError"]


class StageError(OperationError):
    """The loop broke: `stage` says where, `subject` names the object, `reason` says what about it."""

    def __init__(self, stage: str, subject: str, reason: str, *, fix: str | None = None) -> None:
        super().__init__(f"{stage}: {subject} {reason}", fix=fix)
        self.stage = stage
        self.subject = subject
        self.reason = reason


@dataclass(frozen=True)
class Fact:
    """Something that was looked up and was as wanted."""

    stage: str
    name: str
    found: Any
    wanted: Any
    source: str
    """Who said so: a URL, an object, a query."""


@dataclass
class Stage:
    """One stage and what to say of it in a line."""

    name: str
    seconds: float = 0.0
    summary: str = ""


@dataclass
class Ledger:
    """All facts and stages of one loop. `tell` is called with each finished stage."""

    tell: Callable[[Stage], None] = lambda _stage: None
    facts: list[Fact] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a stage; it is told when the block ends well."""
        stage = Stage(name)
        started = time.monotonic()
        yield stage
        self.add(name, time.monotonic() - started, stage.summary)

    def add(self, name: str, seconds: float, summary: str) -> None:
        """Put down a stage that was timed elsewhere."""
        stage = Stage(name, round(seconds, 2), summary)
        self.stages.append(stage)
        self.tell(stage)

    def same(self, stage: str, name: str, *, found: Any, wanted: Any, source: str, fix: str | None = None) -> None:
        """Assert that what `source` says is what is wanted. Raises StageError."""
        self.that(stage, name, found == wanted, found=found, wanted=wanted, source=source, reason=None, fix=fix)

    def that(
        self,
        stage: str,
        name: str,
        holds: bool,  # noqa: FBT001 (the claim itself)
        *,
        found: Any,
        wanted: Any,
        source: str,
        reason: str | None = None,
        fix: str | None = None,
    ) -> None:
        """Assert a claim about what was found; `wanted` says it in words or as a value. Raises StageError."""
        if not holds:
            raise StageError(stage, source, reason or f"has {name} {found}, expected {wanted}", fix=fix)
        self.facts.append(Fact(stage, name, found, wanted, source))
