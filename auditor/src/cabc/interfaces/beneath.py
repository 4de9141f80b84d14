"""Files below a folder: every component is opened beneath the one before, and no link is followed."""

from __future__ import annotations

import os
import re
import stat

from cabc.interfaces.base import RetrieveError
from cabc.text import one_line

__all__ = ["open_beneath", "read_beneath"]

_COMPONENT = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_beneath(root: str, path: str, limit: int) -> int:
    """Return a descriptor of the regular file, at most `limit` bytes large; RetrieveError for anything else.

    Because each step starts from an open folder, replacing one by a link in the meantime changes nothing.
    """
    shown = one_line(path)
    components = path.split("/")
    if path.startswith("/") or not all(_COMPONENT.fullmatch(part) and part not in {".", ".."} for part in components):
        msg = f"the path {shown!r} must be relative, with plain names between slashes"
        raise RetrieveError(msg)
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        msg = f"the connection's folder cannot be opened: {error.strerror}"
        raise RetrieveError(msg) from error
    try:
        for part in components[:-1]:
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        file = os.open(components[-1], _FILE, dir_fd=folder)
    except OSError as error:
        msg = f"the file {shown!r} cannot be opened (links are not followed): {error.strerror}"
        raise RetrieveError(msg) from error
    finally:
        os.close(folder)
    return _regular(file, shown, limit)


def _regular(file: int, shown: str, limit: int) -> int:
    found = os.fstat(file)
    why = None
    if not stat.S_ISREG(found.st_mode):
        why = "is not a regular file"
    elif found.st_size > limit:
        why = f"is larger than {limit} bytes (the connection's limit)"
    if why:
        os.close(file)
        msg = f"{shown!r} {why}"
        raise RetrieveError(msg)
    return file


def read_beneath(root: str, path: str, limit: int) -> bytes:
    """Return the file's bytes."""
    with os.fdopen(open_beneath(root, path, limit), "rb") as file:
        body = file.read(limit + 1)
    if len(body) > limit:
        msg = f"{one_line(path)!r} is larger than {limit} bytes (the connection's limit)"
        raise RetrieveError(msg)
    return body
