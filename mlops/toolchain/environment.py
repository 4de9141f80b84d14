"""The environment in which pulumi, kind and the container engine run; one for every command of this project."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from components._core import paths, sources
from components._core.sources import Source
from mlops.errors import OperationError, UsageError
from mlops.toolchain import plugins, uv
from mlops.toolchain.containers import engine_environment
from mlops.toolchain.environments import plugin_environment
from mlops.toolchain.model import NeededFor, modules
from mlops.toolchain.store import folder_of

__all__ = ["LOCAL_PASSPHRASE", "current_source", "environment", "exports", "settings", "without_logs"]

LOCAL_PASSPHRASE = "local"  # noqa: S105 (known to everybody, for stacks that live on one machine)
"""Passphrase of the stacks `local` and `ci`, whose salt is committed: they are short-lived, in a private folder.

Every other stack brings its own, by PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE.
"""


def environment() -> dict[str, str]:
    """Return os.environ with what pulumi and kind need: the tools first on PATH, state, plugins, container engine.

    Nothing is built or downloaded; only small files of the state are made, and the code of the stand-ins is brought
    up to date.
    """
    found = dict(os.environ)
    for name, value in settings().items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def exports() -> str:
    """Return the settings as lines for a shell."""
    lines = [
        f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"
        for name, value in settings().items()
    ]
    return "\n".join(lines)


def settings() -> dict[str, str | None]:
    """Return what differs from the caller's environment; None means: must not be set."""
    source = current_source()
    state = _private(paths.state("pulumi"))
    if not os.environ.get("PULUMI_HOME"):
        without_logs(paths.pulumi_home())
    found: dict[str, str | None] = {
        "PATH": os.pathsep.join(_path(source)),
        "PULUMI_HOME": os.environ.get("PULUMI_HOME") or str(paths.pulumi_home()),
        # Without metadata: the backend writes it beside the state and not at once, and a kill in between makes both
        # unreadable.
        "PULUMI_BACKEND_URL": os.environ.get("PULUMI_BACKEND_URL") or f"file://{state}?metadata=skip",
        # Programs run in the project's environment by Pulumi.yaml; this is for what runs outside of any.
        "PULUMI_PYTHON_CMD": os.environ.get("PULUMI_PYTHON_CMD") or sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_NEO": "false",
        "PULUMI_SUPPRESS_NEO_LINK": "true",
        **{name: os.environ.get(name) or value for name, value in uv.SETTINGS.items()},
        **engine_environment(),
    }
    if not {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(os.environ):
        found["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase())
    if source is Source.REGISTRY_ONLY:
        found["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        found["PULUMI_DISABLE_REGISTRY_RESOLVE"] = "true"
        stand_ins = plugin_environment()
        stand_ins.refresh()
        found[plugins.CODE] = str(stand_ins.entry)
    return found


def without_logs(home: Path) -> None:
    """Keep the engine from logging each property it sees to a file: that takes most of the time of an operation.

    It has no option for that, and goes on without a log where it cannot make the folder.
    """
    logs = home / "logs"
    if not logs.exists():
        home.mkdir(parents=True, exist_ok=True)
        logs.write_text("Pulumi keeps no automatic logs here. For one run: pulumi --logtostderr -v=9 ...\n")


def current_source() -> Source:
    """Return the source in use; upstream before anything was installed."""
    try:
        return sources.chosen() or Source.UPSTREAM
    except ValueError as error:
        words = ", ".join(Source)
        msg = f"{error}"
        raise UsageError(msg, fix=f"set MLOPS_SOURCE to one of {words}, or run: mlops toolchain install") from error


def _path(source: Source) -> list[str]:
    """Return PATH with our tools first, each folder once."""
    tools = [plugins.engine_folder(source)]
    tools += [
        folder_of(each, source)
        for each in modules().values()
        if each.needed_for is NeededFor.HOST and each.name != "pulumi"
    ]
    with suppress(OperationError):  # without uv only installing fails, and says so
        tools.append(uv.find().parent)
    return list(dict.fromkeys([*map(str, tools), *os.environ.get("PATH", os.defpath).split(os.pathsep)]))


def _passphrase() -> Path:
    file = paths.state("passphrase")
    if not file.exists():
        _private(file.parent)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as sink:
            sink.write(LOCAL_PASSPHRASE)
    return file


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
