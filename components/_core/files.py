"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["write"]


def write(file: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file in one step, whoever else writes it at the same time, in this process or another: one of them stays.

    Whoever reads it meanwhile gets what was there before. Folders that are missing are made, for their owner alone.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "w") as sink:
            sink.write(text)
        partial.chmod(mode)
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
