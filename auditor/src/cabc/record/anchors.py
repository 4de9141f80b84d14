"""Signed heads written where the database's owner cannot reach: what shows that a record went back in time."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cabc.record.canonical import canonical_model
from cabc.record.types import Head

__all__ = ["Anchors", "anchor_file", "anchor_files"]

_LOG = logging.getLogger(__name__)
_TAIL = 65_536
"""Bytes at the end of a file that tell how far it got."""


def anchor_file(anchor: Path, chain: str) -> Path:
    """Return where the heads of a chain go: in a folder each chain has its file, a `.jsonl` file takes them all."""
    return anchor if anchor.suffix == ".jsonl" else anchor / f"{chain.replace(':', '.')}.jsonl"


def anchor_files(anchor: Path) -> list[Path]:
    """Return the files of an anchor that exist."""
    if anchor.suffix == ".jsonl":
        return [anchor] if anchor.exists() else []
    return sorted(anchor.glob("*.jsonl"))


class Anchors:
    """Appends signed heads to every anchor; one that cannot be written is told to the log and caught up later."""

    def __init__(self, anchors: Sequence[Path]) -> None:
        self.anchors = tuple(anchors)
        self._behind: dict[Path, dict[str, Head]] = {anchor: {} for anchor in self.anchors}
        self._lock = threading.Lock()

    def append(self, heads: Iterable[Head]) -> None:
        """Write heads at the end of every anchor, on the disk when this returns."""
        new = list(heads)
        with self._lock:
            for anchor in self.anchors:
                late = self._behind[anchor]
                late.update({head.chain: head for head in new})
                try:
                    _write(anchor, late.values())
                except OSError as error:
                    _LOG.warning("anchor %s cannot be written (%s); it is caught up later", anchor, error.strerror)
                else:
                    late.clear()

    def catch_up(self, heads: Iterable[Head]) -> None:
        """Write the heads that an anchor lacks: a crash came between the record and the anchor, or it is new."""
        last = list(heads)
        with self._lock:
            for anchor in self.anchors:
                known = _reached(anchor, {head.chain for head in last})
                late = {head.chain: head for head in last if known.get(head.chain, 0) < head.seq}
                self._behind[anchor].update(late)
        if any(self._behind.values()):
            self.append([])


def _write(anchor: Path, heads: Iterable[Head]) -> None:
    lines: dict[Path, bytes] = {}
    for head in heads:
        file = anchor_file(anchor, head.chain)
        lines[file] = lines.get(file, b"") + canonical_model(head).encode() + b"\n"
    for file, data in lines.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        # One write in append mode: lines of two processes never mix.
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # A crash may have cut the last line; it stays as it is and is named by `verify`.
            cut = os.fstat(descriptor).st_size and not _ends_line(file)
            os.write(descriptor, b"\n" + data if cut else data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _ends_line(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _reached(anchor: Path, chains: set[str]) -> dict[str, int]:
    """Return the highest sequence number that an anchor holds, by chain."""
    reached: dict[str, int] = {}
    whole = anchor.suffix == ".jsonl"
    for file in {anchor_file(anchor, chain) for chain in chains}:
        for line in _lines(file, from_end=None if whole else _TAIL):
            try:
                head = Head.model_validate_json(line)
            except ValueError:
                continue
            reached[head.chain] = max(reached.get(head.chain, 0), head.seq)
    return reached


def _lines(file: Path, *, from_end: int | None) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0 if from_end is None else max(0, size - from_end))
            yield from stream.read().splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        _LOG.warning("anchor %s cannot be read (%s)", file, error.strerror)
