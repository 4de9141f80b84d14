"""Files that change: looked at again and again; inotify says nothing on network disks and of mounted ConfigMaps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["FileWatch"]


class FileWatch:
    """Tells which files hold other bytes than the last time it looked."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self._stamps: dict[Path, tuple[int, int, int] | None] = {}
        self._digests: dict[Path, str | None] = {}
        self.changed()
        for file in self._files:
            self._digests.setdefault(file, None)  # one that is not there yet is new when it comes

    def changed(self) -> list[Path]:
        """Return files with new bytes; bytes are read only when time, size or inode moved. A lost file is no change."""
        return [file for file in self._files if self._differs(file)]

    def _differs(self, file: Path) -> bool:
        stamp = _stamp(file)
        if stamp is None or stamp == self._stamps.get(file):
            return False
        try:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError:
            return False  # gone between the two looks; the next one tells
        known = file in self._digests
        before, self._stamps[file], self._digests[file] = self._digests.get(file), stamp, digest
        return known and before != digest


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """Follow links: a mounted ConfigMap changes by moving one."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
