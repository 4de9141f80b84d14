"""Where accepted events wait for the database: append-only files, synced before anybody is told that they are safe.

A record is length, checksum and time, then the payload. Nothing is ever changed in place: files that the database has
are unlinked, which works on a full disk too. A process that starts reads what is left, up to the first record that is
not whole, and writes to a file of its own. What it reads may be in the database; storing it again changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Position", "Spool", "SpoolFullError"]

HEADER = struct.Struct(">IId")
"""Length of the payload, CRC-32 of time and payload, seconds since 1970."""

SEGMENT = 8 << 20
"""Bytes after which another file is begun: what a restart may have to read again."""

WORTH_A_FILE = 1 << 20
"""A file that is all read is only replaced when it has grown to this."""

_TIME = struct.Struct(">d")


class SpoolFullError(Exception):
    """The bound on waiting events is reached: the database has been away for too long."""


@dataclass(frozen=True, order=True)
class Position:
    """A place between two records: number of the file, bytes before the place."""

    segment: int = 0
    offset: int = 0


@dataclass
class _Segment:
    number: int
    path: Path
    end: int = 0
    records: int = 0


class Spool:
    """One folder of files; one process at a time, in which one thread appends and one reads and releases."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        *,
        segment_bytes: int = SEGMENT,
        clock: Callable[[], float] = time.time,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self.limit = limit
        self._folder = folder
        # Several files fit below the bound: one is only given back when all of it is in the database.
        self._segment_bytes = min(segment_bytes, max(limit // 8, 1))
        self._clock = clock
        self._sync = sync
        self._state = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            msg = f"{folder}: another collector uses this spool"
            raise RuntimeError(msg) from error
        self._segments = deque(_recovered(folder))
        self._released = Position()
        self._consumed = 0
        self._file: int | None = None
        self._arrived = threading.Event()
        if self._segments:
            self._arrived.set()

    def close(self) -> None:
        """Let go of the folder; what waits in it stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._lock.close()

    @property
    def size(self) -> int:
        """Bytes that are on the disk."""
        with self._state:
            return sum(segment.end for segment in self._segments)

    @property
    def pending(self) -> int:
        """Number of records that are not released."""
        with self._state:
            return sum(segment.records for segment in self._segments) - self._consumed

    def oldest_seconds(self) -> float:
        """Return how long the oldest record that is not released has waited; 0 when there is none."""
        found = next(self._records(self._released), None)
        return max(0.0, self._clock() - found[0]) if found else 0.0

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write all payloads and return when they are on the disk.

        Raises SpoolFullError at the bound and OSError when the disk refuses; then none of them counts as written. The
        next call writes over what is left of them.
        """
        now = _TIME.pack(self._clock())
        data = b"".join(_framed(payload, now) for payload in payloads)
        if self.size + len(data) > self.limit:
            msg = f"{self.pending} events wait for the database, {self.limit} bytes are allowed"
            raise SpoolFullError(msg)
        current = self._current()
        assert self._file is not None  # noqa: S101 (opened by _current)
        view, offset = memoryview(data), current.end
        while view:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written
        self._sync(self._file)
        with self._state:
            current.end = offset
            current.records += len(payloads)
        self._arrived.set()

    def wait(self, seconds: float) -> None:
        """Return when something was appended after the last call to `read`, or when the time is over."""
        self._arrived.wait(seconds)

    def read(self, position: Position, *, records: int = 1000, size: int = 4 << 20) -> tuple[list[bytes], Position]:
        """Return some of the records after a position, in order, and the position after them."""
        self._arrived.clear()
        found: list[bytes] = []
        for _, payload, after in self._records(position):
            found.append(payload)
            position = after
            size -= len(payload)
            if len(found) >= records or size <= 0:
                break
        return found, position

    def release(self, position: Position, records: int) -> None:
        """Forget so many records, which end at a position: somebody else has them now."""
        gone: list[_Segment] = []
        with self._state:
            self._released = position
            self._consumed += records
            while self._segments and self._is_done(self._segments[0], position):
                segment = self._segments.popleft()
                self._consumed -= segment.records
                gone.append(segment)
        for segment in gone:
            segment.path.unlink(missing_ok=True)

    def _is_done(self, segment: _Segment, position: Position) -> bool:
        if segment.number < position.segment:
            return True
        all_read = segment.number == position.segment and position.offset >= segment.end
        # The file that is written to stays until it is large: a file for every few events would be wasteful.
        return all_read and (segment is not self._segments[-1] or self._file is None)

    def _current(self) -> _Segment:
        """Return the file to append to; another one once the last is long, or is long enough and all read."""
        with self._state:
            last = self._segments[-1] if self._segments else None
            all_read = last is not None and (last.number, last.end) == (self._released.segment, self._released.offset)
        if self._file is not None and last is not None:
            bound = WORTH_A_FILE if all_read else self._segment_bytes
            if last.end < min(bound, self._segment_bytes):
                return last
        number = (last.number if last else self._released.segment) + 1
        path = self._folder / f"{number:012d}.log"
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError:
            os.close(file)
            raise
        finally:
            os.close(folder)
        if self._file is not None:
            os.close(self._file)
        self._file = file
        segment = _Segment(number, path)
        with self._state:
            self._segments.append(segment)
        return segment

    def _records(self, position: Position) -> Iterator[tuple[float, bytes, Position]]:
        with self._state:
            todo = [(segment.number, segment.path, segment.end) for segment in self._segments]
        for number, path, end in todo:
            if number < position.segment:
                continue
            start = position.offset if number == position.segment else 0
            # Released meanwhile by the thread that reads: then it is not the oldest that waits any more.
            with contextlib.suppress(FileNotFoundError):
                for at, payload, after in _scan(path, start, end):
                    yield at, payload, Position(number, after)


def _framed(payload: bytes, at: bytes) -> bytes:
    return HEADER.pack(len(payload), zlib.crc32(payload, zlib.crc32(at)), *_TIME.unpack(at)) + payload


def _recovered(folder: Path) -> Iterator[_Segment]:
    """Look through what an earlier process left."""
    for path in sorted(folder.glob("*.log")):
        segment = _Segment(int(path.stem), path)
        for _, _, segment.end in _scan(path, 0, path.stat().st_size):
            segment.records += 1
        rest = path.stat().st_size - segment.end
        if rest:
            print(f"{path}: the last {rest} bytes are no whole record: they were never acknowledged")
        if segment.records:
            yield segment
        else:
            path.unlink()


def _scan(path: Path, start: int, end: int) -> Iterator[tuple[float, bytes, int]]:
    """Give time, payload and end of each record between two places, up to the first that is not whole."""
    with path.open("rb") as file:
        file.seek(start)
        while start + HEADER.size <= end:
            length, checksum, at = HEADER.unpack(file.read(HEADER.size))
            start += HEADER.size + length
            if start > end:
                return
            payload = file.read(length)
            if zlib.crc32(payload, zlib.crc32(_TIME.pack(at))) != checksum:
                return
            yield at, payload, start
