"""A copy of an SQLite record while others write to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cabc.errors import CabcError
from cabc.record.engines import resolve_url

__all__ = ["backup"]


def backup(url: str, file: Path) -> None:
    """Write a consistent copy; CabcError for PostgreSQL, which brings its own tools."""
    parsed = resolve_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise CabcError(
            "only SQLite records are copied this way", fix="use pg_dump or a base backup, or cabc export for all of it"
        )
    if not Path(parsed.database).exists():
        msg = f"there is no record at {parsed.database}"
        raise CabcError(msg)
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        msg = f"{file} is there already"
        raise CabcError(msg, fix="name another file") from None
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise CabcError(msg) from None
    with (
        closing(sqlite3.connect(f"{Path(parsed.database).resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(file)) as target,
    ):
        source.backup(target)
