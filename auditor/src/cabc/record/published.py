"""The files that the last publication of a subject names, read while a publisher may be about to replace them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from cabc.record.canonical import digest
from cabc.record.leases import is_held
from cabc.record.reading import Reader
from cabc.record.types import Publication

__all__ = ["PURPOSE", "differing", "files_of", "settled"]

PURPOSE = "publish"
"""Purpose of the lease that a publisher holds from its first file until its files are recorded."""

PATIENCE = 60.0
"""Seconds until files that never settle are taken as they are."""

_PAUSE = 0.2


def settled(
    record: Reader, folder: Path, publication: Publication, *, patience: float = PATIENCE
) -> tuple[Publication, Mapping[str, bytes | str]]:
    """Return the last publication, and each file's bytes or why it has none.

    A publisher writes files before it records them. So what differs counts only once nobody is publishing, and nothing
    was published since.
    """
    end = time.monotonic() + patience
    while True:
        files = files_of(folder, publication)
        if not differing(publication, files) or time.monotonic() > end:
            return publication, files
        # In this order: whoever lets go of the lease has recorded before.
        busy = is_held(record.engine, publication.subject, PURPOSE)
        last = next(iter(record.publications(publication.subject, limit=1)), publication)
        if not busy and last == publication:
            return publication, files
        publication = last
        time.sleep(_PAUSE)


def files_of(folder: Path, publication: Publication) -> dict[str, bytes | str]:
    """Return each file's bytes as they are now, or why it has none."""
    return {name: _read(folder, publication.subject, name) for name in sorted(publication.files)}


def differing(publication: Publication, files: Mapping[str, bytes | str]) -> dict[str, str]:
    """Return what is wrong with each file that is not what was published."""
    found = {}
    for name, body in files.items():
        if isinstance(body, str):
            found[name] = body
        elif digest(body) != publication.files[name]:
            found[name] = "is not what was published"
    return found


def _read(folder: Path, subject: str, name: str) -> bytes | str:
    file = folder / subject / name
    if not file.resolve().is_relative_to(folder.resolve()):
        return "is outside the published folder"
    try:
        return file.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
