"""Files beside a document, read without ever leaving its folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePosixPath

from cabc.errors import CabcError

__all__ = ["inside", "read_file"]


def inside(path: str) -> PurePosixPath | None:
    """Return a relative path that stays below where it starts; None for any other."""
    if "\\" in path or "\0" in path or ":" in path or path.startswith("/"):
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return PurePosixPath(*parts) if parts and ".." not in parts else None


def read_file(folder: Path, path: str, size: int) -> bytes:
    """Return the bytes of a regular file below a folder; symbolic links on the way are refused, not followed."""
    relative = inside(path)
    if relative is None:
        msg = f"{path!r} leaves the document's folder"
        raise CabcError(msg)
    opened: list[int] = []
    try:
        opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for part in relative.parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            opened.append(os.open(part, flags, dir_fd=opened[-1]))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        opened.append(os.open(relative.name, flags, dir_fd=opened[-1]))
        found = os.fstat(opened[-1])
        if not stat.S_ISREG(found.st_mode):
            msg = f"{path!r} is no regular file"
            raise CabcError(msg)
        with os.fdopen(opened.pop(), "rb") as file:
            return file.read(size + 1)
    except OSError as error:
        reason = "is behind a symbolic link" if error.errno in _LINKS else (error.strerror or "cannot be read").lower()
        msg = f"{path!r}: {reason}"
        raise CabcError(msg) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


_LINKS = (errno.ELOOP,)
"""What O_NOFOLLOW gives."""
