"""Layers."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from mlops.errors import OperationError
from mlops.images import layers


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "code" / "inner").mkdir(parents=True)
    (folder / "code" / "inner" / "a.py").write_text("a")
    program = folder / "program"
    program.write_text("p")
    program.chmod(0o700)
    return folder


def test_files_are_placed_owned_by_root_and_readable_by_all(tmp_path: Path, context: Path) -> None:
    layers.write(tmp_path / "x.tar", context, {"code": "/opt/code", "program": "/bin/program"})
    with tarfile.open(tmp_path / "x.tar") as layer:
        found = {entry.name: entry for entry in layer}
    assert list(found) == ["bin", "opt", "opt/code", "opt/code/inner", "bin/program", "opt/code/inner/a.py"]
    assert found["opt/code/inner/a.py"].mode == 0o644
    assert found["bin/program"].mode == 0o755
    assert {(entry.uid, entry.gid, entry.mtime) for entry in found.values()} == {(0, 0, 0)}


def test_same_files_give_the_same_bytes(tmp_path: Path, context: Path) -> None:
    layers.write(tmp_path / "x.tar", context, {"code": "/opt/code"})
    os.utime(context / "code" / "inner" / "a.py", (1, 1))
    layers.write(tmp_path / "y.tar", context, {"code": "/opt/code"})
    assert (tmp_path / "x.tar").read_bytes() == (tmp_path / "y.tar").read_bytes()


def test_missing_file_is_named(tmp_path: Path, context: Path) -> None:
    with pytest.raises(OperationError, match="copies nothing, which is neither"):
        layers.write(tmp_path / "x.tar", context, {"nothing": "/x"})
