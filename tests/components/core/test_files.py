"""A file that many write is one of theirs, whole, at every moment."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from components._core import files


def test_many_that_write_at_once_leave_one_of_their_texts(tmp_path: Path) -> None:
    file = tmp_path / "new" / "marker.json"
    together = Barrier(8, timeout=60)
    texts = [str(number) * 50_000 for number in range(8)]

    def write(text: str) -> None:
        together.wait()
        for _ in range(20):
            files.write(file, text)
            assert file.read_text() in texts

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, texts))
    assert [each.name for each in file.parent.iterdir()] == ["marker.json"]


@pytest.mark.parametrize("mode", [0o600, 0o755])
def test_a_file_has_the_mode_it_was_given_whatever_it_had(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o640)
    files.write(file, "new", mode=mode)
    assert (stat.S_IMODE(file.stat().st_mode), file.read_text()) == (mode, "new")


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write(file, "\ud800")
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["text"]
