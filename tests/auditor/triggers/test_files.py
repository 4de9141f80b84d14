"""Files that change, however they change."""

from __future__ import annotations

import os
from pathlib import Path

from cabc.triggers.files import FileWatch


def test_other_bytes_are_a_change_and_a_touch_is_none(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("one")
    watch = FileWatch([file])
    assert watch.changed() == []
    os.utime(file, ns=(1, 1))
    assert watch.changed() == []
    file.write_text("two")
    assert watch.changed() == [file]
    assert watch.changed() == []


def test_a_file_that_goes_and_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    watch = FileWatch([file])
    assert watch.changed() == []
    file.write_text("one")
    first = watch.changed()
    file.unlink()
    assert watch.changed() == []
    file.write_text("one")
    assert watch.changed() == []  # the same bytes
    file.write_text("two")
    assert watch.changed() == [file]
    assert first == [file]


def test_a_mounted_configmap_changes_by_a_link(tmp_path: Path) -> None:
    for name, text in (("v1", "one"), ("v2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "spec.yaml").write_text(text)
    data = tmp_path / "..data"
    data.symlink_to("v1")
    file = tmp_path / "spec.yaml"
    file.symlink_to("..data/spec.yaml")
    watch = FileWatch([file])
    new = tmp_path / "..new"
    new.symlink_to("v2")
    new.rename(data)
    assert watch.changed() == [file]
