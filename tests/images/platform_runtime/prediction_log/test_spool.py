"""What `append` has returned from is there, whatever happens to the disk and to the process."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platform_runtime.prediction_log.spool import Position, Spool, SpoolFullError

LIMIT = 1 << 20


Open = Callable[..., Spool]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open the spool of the test's folder; the one before is closed, as when its process ends."""
    last: list[Spool] = []

    def open_(folder: Path = tmp_path, limit: int = LIMIT, **others: Any) -> Spool:
        close()
        last.append(Spool(folder, limit, **others))
        return last[-1]

    def close() -> None:
        while last:
            last.pop().close()

    yield open_
    close()


def drain(spool: Spool) -> list[bytes]:
    """Read and release everything."""
    found: list[bytes] = []
    position = Position()
    while True:
        records, position = spool.read(position, records=3)
        if not records:
            return found
        spool.release(position, len(records))
        found += records


def test_records_come_back_in_order_and_are_gone_when_released(tmp_path: Path, opened: Open) -> None:
    spool = opened(segment_bytes=100)
    records = [f"record {number}".encode() for number in range(50)]
    for record in records:
        spool.append([record])
    assert spool.pending == 50
    assert drain(spool) == records
    assert spool.pending == 0
    # Only the file that is written to is left.
    assert len(list(tmp_path.glob("*.log"))) == 1


def test_what_is_not_released_is_read_again_after_a_restart(tmp_path: Path, opened: Open) -> None:
    spool = opened(segment_bytes=100)
    for number in range(20):
        spool.append([str(number).encode()])
    records, position = spool.read(Position(), records=11)
    spool.release(position, len(records))
    again = opened()
    found = drain(again)
    assert found[-9:] == [str(number).encode() for number in range(11, 20)]
    assert again.pending == 0
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize("lost", [1, 9, 30])
def test_a_record_that_is_not_whole_is_left_out(tmp_path: Path, opened: Open, lost: int) -> None:
    spool = opened()
    spool.append([b"first"])
    spool.append([b"x" * 20])
    (file,) = tmp_path.glob("*.log")
    file.write_bytes(file.read_bytes()[:-lost])
    again = opened()
    again.append([b"third"])
    assert drain(again) == [b"first", b"third"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_never_taken_for_a_record(
    tmp_path_factory: pytest.TempPathFactory, opened: Open, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    records = data.draw(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
    spool = opened(folder)
    spool.append(records)
    (file,) = folder.glob("*.log")
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    found = drain(opened(folder))
    assert found == records[: len(found)]
    assert len(found) < len(records)


def test_a_disk_that_refuses_loses_nothing_that_was_there(opened: Open) -> None:
    broken = False

    def sync(file: int) -> None:
        if broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(file)

    spool = opened(sync=sync)
    spool.append([b"before"])
    broken = True
    with pytest.raises(OSError, match="No space left"):
        spool.append([b"never acknowledged, and longer than what comes next"])
    assert spool.pending == 1
    broken = False
    spool.append([b"after"])
    assert drain(opened()) == [b"before", b"after"]


def test_at_the_bound_it_refuses_all_or_nothing(opened: Open) -> None:
    spool = opened(limit=1000)
    spool.append([b"x" * 400])
    with pytest.raises(SpoolFullError, match="1 events wait for the database, 1000 bytes are allowed"):
        spool.append([b"x" * 300, b"x" * 300])
    spool.append([b"x" * 300])
    assert [len(record) for record in drain(spool)] == [400, 300]
    spool.append([b"x" * 400])


def test_only_one_process_uses_a_folder(tmp_path: Path, opened: Open) -> None:
    opened()
    with pytest.raises(RuntimeError, match="another collector uses this spool"):
        Spool(tmp_path, LIMIT)
    opened()


def test_the_oldest_that_waits_tells_its_age(opened: Open) -> None:
    now = 1000.0
    spool = opened(clock=lambda: now)
    assert spool.oldest_seconds() == 0
    spool.append([b"a"])
    now = 1010.0
    spool.append([b"b"])
    now = 1030.0
    assert spool.oldest_seconds() == 30
    records, position = spool.read(Position(), records=1)
    spool.release(position, len(records))
    assert spool.oldest_seconds() == 20
