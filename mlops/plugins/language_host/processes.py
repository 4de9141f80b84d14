"""Run a program, a typechecker or an installation, and hand on what it prints."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from mlops.plugins.language_host.environments import Command, Environment
from mlops.plugins.language_host.errors import HostError
from mlops.plugins.language_host.options import PythonOptions

__all__ = ["Cancelled", "Finished", "Outcome", "Output", "execute", "stream", "typecheck"]

SHOWN_TO_USER = 32
"""Exit code of a program that has told the user itself what is wrong; the engine then adds nothing."""

Cancelled = Callable[[Callable[[], None]], object]
"""Takes what to do when the engine cancels the call."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended: `error` for the user, or `bail` when the program has already told."""

    error: str = ""
    bail: bool = False


@dataclass(frozen=True)
class Output:
    """A piece of what a process printed."""

    data: bytes
    is_error: bool = False


@dataclass(frozen=True)
class Finished:
    """The end of a process; a signal is a negative number, as in subprocess."""

    code: int


def execute(command: Command, cancelled: Cancelled) -> Outcome:
    """Run a command to its end; it shares this process's output, which the engine reads."""
    try:
        process = subprocess.Popen(command.args, env=command.env, cwd=command.cwd)
    except OSError as error:
        return Outcome(f"problem executing program (could not run language executor): {error}")
    cancelled(process.kill)
    code = process.wait()
    if code == 0:
        return Outcome()
    if code == SHOWN_TO_USER:
        return Outcome(bail=True)
    # Go reports every death by a signal as -1.
    return Outcome(f"program exited with non-zero exit code: {max(code, -1)}")


def typecheck(environment: Environment, options: PythonOptions, cancelled: Cancelled) -> None:
    """Run the typechecker of the options over the program's folder; raises HostError when it complains."""
    if not options.typechecker:
        return
    args = ["-m", options.typechecker]
    venv = environment.virtualenv()
    if options.typechecker == "mypy" and venv is not None:
        args += ["--exclude", os.path.relpath(venv, options.program)]
    command = environment.python(*args, str(options.program))
    outcome = execute(Command(command.args, command.env, options.program), cancelled)
    if outcome.error or outcome.bail:
        msg = f"{options.typechecker} failed: {outcome.error or f'exit status {SHOWN_TO_USER}'}"
        raise HostError(msg)


def stream(command: Command, cancelled: Cancelled) -> Iterator[Output | Finished]:
    """Run a command and yield what it prints as it comes, then its end."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command.args, env=command.env, cwd=command.cwd, stdout=pipe, stderr=pipe)
    except OSError as error:
        msg = f"problem executing `{' '.join(map(str, command.args))}`: {error}"
        raise HostError(msg) from error
    cancelled(process.kill)
    pieces: queue.SimpleQueue[Output | None] = queue.SimpleQueue()

    def read(source: IO[bytes] | None, *, is_error: bool) -> None:
        if source is not None:
            with source:
                while data := os.read(source.fileno(), 65536):
                    pieces.put(Output(data, is_error))
        pieces.put(None)

    sources = {False: process.stdout, True: process.stderr}
    for is_error, source in sources.items():
        threading.Thread(target=read, args=(source,), kwargs={"is_error": is_error}, daemon=True).start()
    still_open = len(sources)
    while still_open:
        piece = pieces.get()
        if piece is None:
            still_open -= 1
        else:
            yield piece
    yield Finished(process.wait())
