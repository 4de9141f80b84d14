"""`command`: a program that the operator registered, without a shell, in a process group with limits."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar

from cabc.document.interfaces import CommandInterface
from cabc.interfaces.base import Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.connections import CommandConnection, CommandTemplate, Parameter
from cabc.interfaces.extraction import compiled, extract
from cabc.interfaces.parameters import fill
from cabc.interfaces.redaction import redact_text
from cabc.text import one_line

__all__ = ["CommandPlugin"]

_PLACE = re.compile(r"\{([a-z0-9-]+)\}")
_WRITTEN = 16_000_000
"""Bytes of a file that the command writes, its output among them."""
_LAUNCHER = Path(__file__).with_name("_limited.py")


class CommandPlugin:
    """Run a registered command; refuse everything while the settings leave commands off."""

    kind: ClassVar[str] = "command"
    spec: ClassVar[type[CommandInterface]] = CommandInterface
    connection: ClassVar[type[CommandConnection]] = CommandConnection

    async def retrieve(self, spec: CommandInterface, connection: CommandConnection, subject: SubjectFacts) -> Retrieved:
        if not connection.enabled:
            msg = "commands are off; the operator turns them on with `commands: true` in cabc.yaml"
            raise RetrieveError(msg)
        template = connection.commands.get(spec.command)
        if template is None:
            msg = f"connection {spec.connection} has no command {spec.command!r}"
            raise RetrieveError(msg)
        output = await _run(_argv(template, spec, subject), connection)
        media_type = "application/json" if template.format == "json" else "text/plain"
        return Retrieved(output, media_type, f"command {spec.command} of connection {spec.connection}")

    def extract(self, spec: CommandInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        return extract(spec, body, media_type)

    async def close(self) -> None:
        """Hold nothing: a command ends with its retrieval."""


def _argv(template: CommandTemplate, spec: CommandInterface, subject: SubjectFacts) -> list[str]:
    """Return the arguments: every parameter judged, each inside the one argument where it stands."""
    unknown = sorted(set(spec.parameters) - set(template.parameters))
    missing = sorted(set(template.parameters) - set(spec.parameters))
    if unknown or missing:
        msg = f"parameters: unknown {', '.join(unknown) or 'none'}; missing {', '.join(missing) or 'none'}"
        raise RetrieveError(msg)
    values = {name: _text(name, template.parameters[name], spec.parameters[name], subject) for name in spec.parameters}
    if not template.argv[0].startswith("/") or _PLACE.search(template.argv[0]):
        msg = "the registered program must be an absolute path without parameters"
        raise RetrieveError(msg)
    arguments = []
    for part in template.argv[1:]:
        argument = _PLACE.sub(lambda place: values.get(place[1], place[0]), part)
        if argument.startswith("-") and not part.startswith("-"):
            msg = f"a parameter may not become an option: {one_line(argument)!r}"
            raise RetrieveError(msg)
        arguments.append(argument)
    return [template.argv[0], *arguments]


def _text(name: str, parameter: Parameter, value: str | float | bool, subject: SubjectFacts) -> str:  # noqa: FBT001 (a value)
    right = {
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
    }[parameter.type]
    if not right:
        msg = f"parameter {name} must be of type {parameter.type}"
        raise RetrieveError(msg)
    text = fill(value, subject) if isinstance(value, str) else str(value).lower()
    fits = text in parameter.choices if parameter.choices else True
    if parameter.type == "string" and not parameter.choices:
        fits = "\x00" not in text and bool(compiled(parameter.pattern).fullmatch(text))
    if not fits:
        msg = f"parameter {name} has a value that the operator does not allow"
        raise RetrieveError(msg)
    return text


async def _run(argv: list[str], connection: CommandConnection) -> bytes:
    """Return what the command prints. It prints into files, so that no child of it can hold us by an open pipe."""
    written = max(_WRITTEN, connection.max_bytes + 1)
    limits = [str(connection.cpu_seconds), str(connection.memory_bytes), str(written)]
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
        tempfile.TemporaryDirectory(prefix="cabc-command-") as folder,
    ):
        code = await _ended([*limits, *argv], connection, folder, output, errors)
        output.seek(0)
        body = output.read(connection.max_bytes + 1)
        if len(body) > connection.max_bytes:
            msg = f"the command's output is larger than {connection.max_bytes} bytes (the connection's limit)"
            raise RetrieveError(msg)
        if code != 0:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 2000))
            said = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            last = one_line(redact_text(said, connection.redact))
            msg = f"the command ended with {_how(code)}{': ' + last if last else ''}"
            raise RetrieveError(msg)
    return body


async def _ended(
    arguments: list[str], connection: CommandConnection, folder: str, output: IO[bytes], errors: IO[bytes]
) -> int:
    """Start the command with its limits and return its exit code; it and all its children are gone afterwards."""
    try:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-I", "-S", str(_LAUNCHER), *arguments],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=dict(connection.environment),
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        msg = f"the command cannot be started: {error.strerror}"
        raise RetrieveError(msg) from error
    try:
        async with asyncio.timeout(connection.timeout):
            return await process.wait()
    except TimeoutError as error:
        msg = f"the command did not end within {connection.timeout:g} s"
        raise RetrieveError(msg) from error
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _how(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
