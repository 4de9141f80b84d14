"""Background work of one process: at most one task a subject, steps that start again where a killed process stopped.

What has to be done is never kept here: triggers, collections without an assessment and statuses without a publication
are in the record, so that a process that starts finds what another one left.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from cabc.record.store import RunBusyError
from cabc.record.types import Publication
from cabc.service.documents import Documents
from cabc.service.metrics import Metrics

__all__ = ["Steps", "Watcher", "Worker"]

log = structlog.stdlib.get_logger("cabc.worker")
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


class Steps(Protocol):
    """What this process does for a subject, in order. A step returns whether it did something."""

    names: Sequence[str]

    async def step(self, name: str, subject: str) -> bool:
        """Do what is due. RunBusyError when another process is at it. Cancelling it must lose nothing."""
        ...

    def publish(self, subject: str) -> Publication:
        """Publish the status as it is."""
        ...


class Watcher(Protocol):
    """Something outside that is watched; it records triggers itself and calls back when it did."""

    async def run(self, wake: Callable[[], None]) -> None:
        """Watch until cancelled."""
        ...


@dataclass
class _Subject:
    task: asyncio.Task[None] | None = None
    failures: int = 0
    not_before: float = 0.0
    again: bool = False


@dataclass
class Worker:
    """Looks for work when woken and at every poll."""

    steps: Steps
    documents: Documents
    subjects: Callable[[], Iterable[str]]
    metrics: Metrics
    poll: float
    watchers: Sequence[Watcher] = ()
    clock: Callable[[], float] = time.monotonic
    _state: dict[str, _Subject] = field(default_factory=dict)
    _wake: asyncio.Event | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _beat: float | None = None

    def wake(self) -> None:
        """Look for work now; from any thread."""
        if self._loop is not None and self._wake is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def healthy(self) -> bool:
        """Say whether it still looks for work; one that was never started has none."""
        return self._beat is None or self.clock() - self._beat < 10 * self.poll + 30

    def failing(self) -> list[str]:
        """Return the subjects whose last step failed."""
        return sorted(subject for subject, known in self._state.items() if known.failures)

    def publish_now(self, subject: str) -> Publication:
        """Publish a subject at once."""
        return self.steps.publish(subject)

    async def start(self) -> None:
        """Begin to work."""
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        self._beat = self.clock()
        self._tasks = [asyncio.create_task(self._work(self._wake), name="worker")]
        self._tasks += [asyncio.create_task(watcher.run(self.wake)) for watcher in self.watchers]

    async def stop(self, grace: float) -> None:
        """Start nothing more; let what runs finish, and cancel it when it takes longer than the grace."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._beat = None
        running = [item.task for item in self._state.values() if item.task and not item.task.done()]
        if not running:
            return
        log.info("stopping", runs=len(running), grace_seconds=grace)
        _, late = await asyncio.wait(running, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        log.info("stopped", finished=len(running) - len(late), given_back=len(late))

    async def _work(self, wake: asyncio.Event) -> None:
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("cannot look for work")
            self._beat = self.clock()
            # Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes just when it is woken.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.poll):
                    await wake.wait()
            wake.clear()

    async def _look(self) -> None:
        """Start a task for every subject that has none."""
        for subject in await asyncio.to_thread(self.documents.refresh):
            log.info("document changed", subject=subject)
        for subject in await asyncio.to_thread(lambda: list(self.subjects())):
            known = self._state.setdefault(subject, _Subject())
            if known.task is not None and not known.task.done():
                known.again = True
            elif self.clock() >= known.not_before:
                known.task = asyncio.create_task(self._tend(subject, known), name=f"work on {subject}")

    async def _tend(self, subject: str, known: _Subject) -> None:
        """Do every step of a subject until none has anything to do."""
        with structlog.contextvars.bound_contextvars(subject=subject):
            known.again = True
            while known.again:
                known.again = False
                for name in self.steps.names:
                    try:
                        known.again |= await self._step(name, subject)
                    except RunBusyError:
                        log.debug("another process works on it", step=name)
                        return
                    except Exception:
                        known.failures += 1
                        pause = min(FIRST_PAUSE * 2 ** (known.failures - 1), LONGEST_PAUSE)
                        known.not_before = self.clock() + pause
                        log.exception("step failed", step=name, next_try_seconds=pause)
                        return
            known.failures = 0

    async def _step(self, name: str, subject: str) -> bool:
        started = self.clock()
        result = "cancelled"
        self.metrics.running.inc()
        try:
            did = await self.steps.step(name, subject)
            result = "done" if did else "idle"
        except RunBusyError:
            result = "busy"
            raise
        except Exception:
            result = "failed"
            raise
        finally:
            self.metrics.running.dec()
            if result not in {"idle", "busy"}:
                self.metrics.run_seconds.labels(name, result).observe(self.clock() - started)
                log.info("step", step=name, result=result, seconds=round(self.clock() - started, 3))
        return did
