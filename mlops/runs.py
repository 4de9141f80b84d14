"""One command at a time works on a stack, and nothing that a killed one left behind stands in the way of the next."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from components._core import paths
from mlops import console
from mlops.errors import OperationError

__all__ = ["Lock", "backend_folder", "drop_half_written", "end_leftovers", "exclusive", "locks", "release_dead"]

_ENGINE = "pulumi"
"""Process name of the engine."""

_PLUGINS = ("pulumi.dynamic", "pulumi-resource-", "pulumi-language-", "language_host", "kubernetes_provider")
"""What the command line of an engine's child has in it."""

_PATIENCE = 150.0
"""Seconds that an engine gets to end what it had begun: more than the longest single step, creating a cluster."""

_GRACE = 5.0
"""Seconds that a leftover process gets between being asked to end and being ended."""


@contextmanager
def exclusive(stack: str, command: str) -> Iterator[None]:
    """Hold the stack for one command of this project. The hold ends with the process, however it ends."""
    file = paths.state("runs", f"{stack}.lock")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "another command"
            msg = f"stack {stack} is in use by {holder}"
            raise OperationError(msg, fix="wait until it is done, or end it with Ctrl-C") from None
        handle.truncate(0)
        now = dt.datetime.now().astimezone()
        handle.write(f"`mlops {command}` (process {os.getpid()}, since {now:%H:%M:%S})\n")
        handle.flush()
        yield


@dataclass(frozen=True)
class Lock:
    """The engine's own lock on a stack, in a file backend."""

    file: Path
    pid: int
    host: str
    user: str
    since: dt.datetime

    @property
    def holder(self) -> psutil.Process | None:
        """Return the engine that holds it, or None when that is known to be dead."""
        try:
            process = psutil.Process(self.pid)
            # The number may have been given to another program since.
            if process.create_time() > self.since.timestamp() + 1 or _is_dead(process):
                return None
        except psutil.NoSuchProcess:
            return None
        return process

    @property
    def is_local(self) -> bool:
        """Tell whether the holder ran on this machine, so that it can be known to be dead."""
        return self.host == socket.gethostname()


def locks(backend: str, project: str, stack: str) -> list[Lock]:
    """Return the engine's locks on a stack; none for backends that are no folder."""
    folder = backend_folder(backend)
    if folder is None:
        return []
    found = []
    for file in sorted(folder.joinpath("locks", "organization", project, stack).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError):  # a holder that ends takes its file away
            content = json.loads(file.read_text())
            since = dt.datetime.fromisoformat(_cut_nanoseconds(content["timestamp"]))
            found.append(Lock(file, int(content["pid"]), content["hostname"], content["username"], since))
    return found


def drop_half_written(backend: str, project: str, stack: str) -> None:
    """Remove what an engine that was killed while it wrote the state left beside it. No engine may be at work.

    The state itself is replaced at once. Its metadata is not, where the backend keeps any: the engine reads neither
    when that was cut off, and both when it is gone.
    """
    folder = backend_folder(backend)
    if folder is None:
        return
    files = folder / "stacks" / project
    for file in files.glob(f"{stack}.json*.tmp"):
        file.unlink(missing_ok=True)
    for file in files.glob(f"{stack}.json*.attrs"):
        try:
            json.loads(file.read_text())
        except ValueError:
            file.unlink(missing_ok=True)


def backend_folder(backend: str) -> Path | None:
    """Return where a backend keeps everything, None when it is no folder."""
    if not backend.startswith("file://"):
        return None
    return Path(backend.removeprefix("file://").partition("?")[0]).expanduser() / ".pulumi"


def release_dead(found: list[Lock], environment: Mapping[str, str]) -> dt.datetime | None:
    """Free a stack from engines that are dead or have lost the command they worked for.

    Returns since when the oldest of them ran, None when there was none. Raises OperationError when an engine that
    somebody else started is at work.
    """
    since: list[dt.datetime] = []
    for lock in found:
        holder = lock.holder if lock.is_local else None
        if not lock.is_local or (holder and not _is_abandoned(holder)):
            who = f"{lock.user}@{lock.host}, process {lock.pid}, since {lock.since.astimezone():%H:%M:%S}"
            fix = "wait until it is done" + (
                "" if lock.is_local else ", or run `pulumi cancel` if it is known to be dead"
            )
            msg = f"pulumi is at work on this stack ({who})"
            raise OperationError(msg, fix=fix)
        if holder:
            _wait_for_end(holder)
        end_leftovers(lock.pid, environment)
        for file in (lock.file, lock.file.with_name(f"{lock.file.name}.attrs")):
            file.unlink(missing_ok=True)
        since.append(lock.since)
    end_leftovers(None, environment)
    return min(since, default=None)


def end_leftovers(session: int | None, environment: Mapping[str, str]) -> int:
    """End the plugins, and what they started, of engines that are dead; return how many processes that were.

    `session` is the dead engine's process: the command line starts each engine in a session of its own.
    """
    processes = [each for each in psutil.process_iter(["pid", "name"]) if each.pid != os.getpid()]
    sessions = {each.pid: _session(each.pid) for each in processes}
    living = {sessions[each.pid] for each in processes if each.info["name"] == _ENGINE and not _is_dead(each)}
    leftover = [
        each
        for each in processes
        if sessions[each.pid] not in living
        and (sessions[each.pid] == session or (_is_orphan(each) and _is_plugin(each, environment)))
    ]
    leftover += [child for each in leftover for child in _children(each)]
    unique = list({each.pid: each for each in leftover}.values())
    for each in unique:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.terminate()
    _, stubborn = psutil.wait_procs(unique, timeout=_GRACE)
    for each in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(stubborn, timeout=_GRACE)
    return len(unique)


def _is_abandoned(engine: psutil.Process) -> bool:
    """Tell whether an engine leads a session of its own, as ours do, and its command is gone."""
    return _session(engine.pid) == engine.pid and _is_orphan(engine)


def _wait_for_end(engine: psutil.Process) -> None:
    with console.step(f"an interrupted run is ending (process {engine.pid})", expected=30):
        with contextlib.suppress(psutil.NoSuchProcess):
            engine.send_signal(signal.SIGINT)
        try:
            engine.wait(timeout=_PATIENCE)
        except psutil.TimeoutExpired:
            engine.kill()
            engine.wait(timeout=_GRACE)


def _is_orphan(process: psutil.Process) -> bool:
    """Tell whether whoever started a process is gone, and the system has taken it over."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return parent is None or parent.pid == 1 or parent.name() == "systemd"
    return True


def _is_plugin(process: psutil.Process, environment: Mapping[str, str]) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        line = " ".join(process.cmdline())
        theirs = process.environ().get("PULUMI_BACKEND_URL")
        return any(word in line for word in _PLUGINS) and theirs == environment.get("PULUMI_BACKEND_URL")
    return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def _is_dead(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _cut_nanoseconds(text: str) -> str:
    """Return a timestamp that Python reads: it knows microseconds, the engine writes nanoseconds."""
    head, dot, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    return f"{head}{dot}{digits[:6]}{tail[len(digits) :]}" if dot else text
