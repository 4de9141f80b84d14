"""Run pulumi on a stack: the commands a person would type, with what a killed one left behind put right first."""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import yaml

from components._core import paths, plan
from mlops import console, properties, runs
from mlops.errors import MlopsError, OperationError, UsageError
from mlops.progress import Progress

__all__ = ["Interrupted", "Stack", "kubeconfig", "outputs"]

NOT_FOUND = 6
"""Exit code of pulumi when there is no such stack."""

_POLL = 0.1
"""Seconds between two looks at what the engine wrote."""


class Interrupted(MlopsError):  # noqa: N818 (nothing went wrong: somebody said stop)
    """Ctrl-C or a request to end; the state is valid."""

    exit_code = 130


def outputs(stack: str) -> dict[str, Any]:
    """Return what the stack's components tell of themselves, secrets readable."""
    return Stack(stack).outputs()


def kubeconfig(stack: str) -> str:
    """Return a kubeconfig for the stack's cluster, for an administrator. Raises OperationError when there is none."""
    return Stack(stack).kubeconfig()


def _environment() -> dict[str, str]:
    from mlops import toolchain

    return toolchain.environment()


@dataclass
class Stack:
    """One stack of a project."""

    name: str
    project: Path = paths.CHECKOUT
    environment: dict[str, str] = field(default_factory=_environment)

    @property
    def project_name(self) -> str:
        """Return the name in Pulumi.yaml."""
        text = (self.project / "Pulumi.yaml").read_text()
        return str(yaml.safe_load(text)["name"])

    # Asking

    def exists(self) -> bool:
        """Tell whether the backend knows the stack. Raises OperationError when its state is there and unreadable.

        Whoever took that for missing would make it anew, empty, and lose sight of all that runs.
        """
        done = self._run("export", check=False)
        if done.returncode not in {0, NOT_FOUND}:
            msg = f"the state of stack {self.name} cannot be read: {_last_lines(done.stderr or done.stdout)}"
            raise OperationError(msg, fix="nothing was changed; `pulumi stack export` shows it too")
        return done.returncode == 0

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs, secrets readable."""
        found: dict[str, Any] = json.loads(self._run("output", "--json", "--show-secrets").stdout)
        return found

    def state(self, *, secrets: bool = False) -> dict[str, Any]:
        """Return what the backend keeps of the stack; `secrets` makes them readable."""
        found: dict[str, Any] = json.loads(self._run("export", *(["--show-secrets"] if secrets else [])).stdout)
        return found

    def resources(self, *, secrets: bool = False) -> list[dict[str, Any]]:
        """Return the resources in the state."""
        return cast("list[dict[str, Any]]", self.state(secrets=secrets)["deployment"].get("resources") or [])

    def history(self) -> list[dict[str, Any]]:
        """Return the operations that the backend remembers, the latest first, as `pulumi stack history` tells them."""
        found = self._run("history", "--json", "--page-size", "0").stdout
        return cast("list[dict[str, Any]]", json.loads(found))

    def differences(self) -> list[dict[str, Any]]:
        """Return where the cluster is not what the state says: the engine's steps that would correct the state.

        Raises OperationError when the engine cannot look.
        """
        command = ["pulumi", "refresh", "--stack", self.name, "--preview-only", "--non-interactive", "--json"]
        done = subprocess.run(
            command,
            cwd=self.project,
            env={**self.environment, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"},  # one event per line
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            msg = f"`{' '.join(command[:2])}` failed: {_last_lines(done.stderr or done.stdout)}"
            raise OperationError(msg, fix=f"mlops doctor --stack {self.name}")
        ended = [event["resOutputsEvent"] for event in _events(done.stdout) if "resOutputsEvent" in event]
        return [each["metadata"] for each in ended if each["metadata"]["op"] in {"update", "delete"}]

    def kubeconfig(self) -> str:
        """Return a kubeconfig for the cluster the stack's objects are in."""
        for resource in self.resources(secrets=True):
            if resource["type"] == "pulumi:providers:kubernetes":
                inputs = properties.plain(resource["inputs"])
                return properties.complete_kubeconfig(inputs.get("kubeconfig"), inputs.get("context"))
        msg = f"stack {self.name} has no cluster yet"
        raise OperationError(msg, fix=f"mlops up --stack {self.name}")

    # Changing

    def ensure(self) -> None:
        """Create the stack in the backend if it is not there. Raises UsageError when it has no order form."""
        file = plan.stack_file(self.name) if self.project == paths.CHECKOUT else None
        if file and not file.exists():
            names = sorted(
                each.name.removeprefix("Pulumi.").removesuffix(".yaml") for each in file.parent.glob("Pulumi.*.yaml")
            )
            msg = f"there is no stack {self.name!r}: {file.relative_to(paths.CHECKOUT)} does not exist"
            raise UsageError(msg, fix=f"use one of {', '.join(names)}, or write that file")
        if not self.exists():
            self._run("init", "--no-select", "--non-interactive")

    def up(self) -> Progress:
        """Make the cluster what the program says. Objects are forgotten only when their cluster is known to be gone."""
        from mlops import recovery

        if recovery.cluster_is_gone(self):
            # Not told to `up` itself: the program would make it an argument of its provider, which stays in the state.
            self._operate("refresh", PULUMI_K8S_DELETE_UNREACHABLE="true")
        return self._operate("up")

    def destroy(self, *, quick: bool = False) -> Progress:
        """Remove everything the stack made.

        `quick` writes the state once, at the end: for stacks whose cluster goes with them, where a run that is killed
        in between is simply done again.
        """
        # What is not there any more need not be found out: deleting it again is no error.
        return self._operate("destroy", "--refresh=false", PULUMI_SKIP_CHECKPOINTS="true" if quick else "false")

    def remove(self, *, force: bool = False) -> None:
        """Forget the stack; its order form stays."""
        options = [
            "--yes",
            "--preserve-config",
            "--remove-backups",
            "--non-interactive",
            *(["--force"] if force else []),
        ]
        self._run("rm", *options)

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Replace what the backend keeps of the stack."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=_private(paths.state("runs"))) as file:
            json.dump(state, file)
            file.flush()
            self._run("import", "--file", file.name, "--non-interactive")

    def recover(self) -> None:
        """Put right what a killed run left: its processes, its lock, what it had begun to create."""
        from mlops import recovery

        backend = self.environment.get("PULUMI_BACKEND_URL", "")
        found = runs.locks(backend, self.project_name, self.name)
        since = runs.release_dead(found, self.environment)
        runs.drop_half_written(backend, self.project_name, self.name)
        if self.exists():
            recovery.resolve_pending(self, since)

    def _run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `pulumi stack …` quietly."""
        command = ["pulumi", "stack", *arguments, "--stack", self.name]
        if arguments[0] in {"init", "rm"}:
            command = ["pulumi", "stack", arguments[0], self.name, *arguments[1:]]
        try:
            done = subprocess.run(
                command,
                cwd=self.project,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise OperationError("pulumi is not installed", fix="mlops toolchain install") from None
        if check and done.returncode:
            if done.returncode == NOT_FOUND:
                msg = f"stack {self.name} does not exist"
                raise OperationError(msg, fix=f"mlops up --stack {self.name}")
            msg = f"`{' '.join(command[:3])}` failed: {_last_lines(done.stderr or done.stdout)}"
            raise OperationError(msg)
        return done

    def _operate(self, operation: str, *options: str, **variables: str) -> Progress:
        """Run one operation and show it; the first Ctrl-C asks the engine to end, the second ends it."""
        log = _private(paths.state("runs")) / f"{self.name}-{operation}"
        events, errors = log.with_suffix(".events.jsonl"), log.with_suffix(".stderr.txt")
        command = ["pulumi", operation, "--stack", self.name, *options]
        command += ["--yes", "--skip-preview", "--non-interactive", "--json"]
        progress = Progress()
        with events.open("w") as out, errors.open("w") as err:
            # Files, not pipes: an engine whose command was killed must be able to go on writing until it has ended.
            process = subprocess.Popen(
                command,
                cwd=self.project,
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # Ctrl-C reaches the engine by us alone, once
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 (one thread)
            )
        interrupts = _follow(process, events, progress)
        if interrupts:
            fix = f"run `mlops {'down' if operation == 'destroy' else 'up'} --stack {self.name}` to go on from here"
            raise Interrupted("stopped; what was done is kept in the state", fix=fix)
        if process.returncode:
            raise self._failure(operation, process.returncode, progress, errors)
        return progress

    def _failure(self, operation: str, code: int, progress: Progress, errors: Path) -> OperationError:
        again = (
            f"run `mlops {'down' if operation == 'destroy' else 'up'} --stack {self.name}` again: it goes on from here"
        )
        if code < 0:
            return OperationError(f"pulumi {operation} was ended by {signal.Signals(-code).name}", fix=again)
        message = f"pulumi {operation} of stack {self.name} failed"
        named = dict.fromkeys(problem.resource for problem in progress.problems if problem.resource)
        resources = [each for each in named if not each.startswith("Stack ")]
        if resources:
            message += f" at {', '.join(resources)}"
        elif not progress.problems:
            message += f": {_last_lines(errors.read_text(errors='replace'))}"
        return OperationError(message, fix=f"correct what is named above, then {again}")


def _follow(process: subprocess.Popen[bytes], events: Path, progress: Progress) -> int:
    """Read events until the engine has ended; return how often somebody said stop."""
    interrupts = 0
    with progress, events.open("rb") as stream:
        tail = _Tail(stream)
        while True:
            try:
                ended = process.poll() is not None
                _drain(tail, progress)
                if ended:
                    return interrupts
                time.sleep(_POLL)
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts == 1:
                    console.err.print(f"{console.WARNING} ending what is under way; Ctrl-C again ends it at once")
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT if interrupts <= 2 else signal.SIGKILL)  # noqa: PLR2004 (said above)


class _Tail:
    """Reads the whole lines of a file that is still being written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""

    def lines(self) -> list[bytes]:
        """Return the lines written since the last time."""
        *whole, self._rest = (self._rest + self._stream.read()).split(b"\n")
        return whole


def _drain(tail: _Tail, progress: Progress) -> None:
    for line in tail.lines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                progress.take(event)


def _events(text: str) -> list[dict[str, Any]]:
    """Return the engine's events among the lines of an output."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                found.append(event)
    return found


def _end_with_parent() -> None:
    """Ask the kernel to interrupt the engine when this command dies, whatever kills it."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _last_lines(text: str, count: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-count:]).removeprefix("error: ") or "without a word"
