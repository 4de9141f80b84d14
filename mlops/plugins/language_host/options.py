"""The `runtime.options` of Pulumi.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops.plugins.language_host.errors import HostError

__all__ = ["PythonOptions", "parse"]

TOOLCHAINS = ("pip", "poetry", "uv")
TYPECHECKERS = ("mypy", "pyright")


@dataclass(frozen=True)
class PythonOptions:
    """How to find and run the Python of one program."""

    root: Path
    """Folder of Pulumi.yaml."""
    program: Path
    """Folder of the program: `root` and the folder part of `main`."""
    virtualenv: str = ""
    """Virtual environment, absolute or under `root`; empty means none is asked for."""
    toolchain: str = ""
    """`pip`, `poetry` or `uv`; empty means: by the lock file found upward from the program."""
    typechecker: str = ""
    """Module run over the program before the program: `mypy` or `pyright`; empty means none."""


def parse(root: str, program: str, options: Mapping[str, object]) -> PythonOptions:
    """Read the options; raises HostError for a value of another type or an unknown word."""
    return PythonOptions(
        root=Path(root),
        program=Path(program),
        virtualenv=_word("virtualenv", options),
        toolchain=_word("toolchain", options, TOOLCHAINS),
        typechecker=_word("typechecker", options, TYPECHECKERS),
    )


def _word(key: str, options: Mapping[str, object], allowed: tuple[str, ...] | None = None) -> str:
    if key not in options:
        return ""
    value = options[key]
    if not isinstance(value, str):
        msg = f"{key} option must be a string"
        raise HostError(msg)
    if allowed is not None and value not in allowed:
        msg = f"unsupported {key} option: {value}"
        raise HostError(msg)
    return value
