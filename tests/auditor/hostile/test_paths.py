"""Path traversal, symbolic links, devices and pipes: a document asks for files that are not its own."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest
from cabc.document.interfaces import AssessorInterface, FileInterface, LogInterface
from cabc.interfaces.assessor import AssessorPlugin
from cabc.interfaces.base import RetrieveError
from cabc.interfaces.beneath import read_beneath
from cabc.interfaces.connections import AssessorConnection, FileConnection, LogConnection
from cabc.interfaces.file import FilePlugin
from cabc.interfaces.log import LogPlugin

from tests.support.retrieval import SUBJECT, retrieve, spec


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder with one file, beside a secret."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "good.txt").write_text("good")
    return folder


def read(root: Path, path: str, limit: int = 1000) -> bytes:
    return read_beneath(str(root), path, limit)


def test_a_plain_path_is_read(root: Path) -> None:
    assert read(root, "sub/good.txt") == b"good"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "sub/../sub/good.txt",
        "./sub/good.txt",
        "sub/./good.txt",
        "sub//good.txt",
        "/etc/passwd",
        "//etc/passwd",
        "sub/",
        "",
        ".",
        "..",
        "..\\secret.txt",
        "sub\\good.txt",
        "sub/good.txt\x00.json",
        "sub/good.txt\n",
        "x" * 300,
        "file:///etc/passwd",
        "%2e%2e/secret.txt",
        "~/secret.txt",
        "sub/nothing.txt",
        "sub",
    ],
)
def test_other_paths_are_refused(root: Path, path: str) -> None:
    with pytest.raises(RetrieveError):
        read(root, path)


def test_links_are_not_followed(root: Path) -> None:
    (root / "file-link").symlink_to(root.parent / "secret.txt")
    (root / "inner-link").symlink_to("sub/good.txt")
    (root / "folder-link").symlink_to(root.parent)
    (root / "loop").symlink_to("loop")
    for path in ("file-link", "inner-link", "folder-link/secret.txt", "folder-link/docs/sub/good.txt", "loop"):
        with pytest.raises(RetrieveError, match="links are not followed"):
            read(root, path)


def test_a_folder_that_is_swapped_for_a_link_gives_nothing_away(root: Path) -> None:
    """A race between check and open: whatever the moment, the secret does not come out."""
    evil, stop = root.parent / "evil", threading.Event()
    evil.mkdir()
    (evil / "good.txt").write_text("stolen")

    def swap() -> None:
        while not stop.is_set():
            (root / "sub").rename(root / "aside")
            (root / "sub").symlink_to(evil)
            (root / "sub").unlink()
            (root / "aside").rename(root / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    read_at_all, until = 0, time.monotonic() + 0.7
    try:
        while time.monotonic() < until:
            try:
                assert read(root, "sub/good.txt") == b"good"
                read_at_all += 1
            except RetrieveError:
                continue
    finally:
        stop.set()
        thread.join()
    assert read_at_all


def test_pipes_devices_sockets_and_folders_are_no_files(root: Path) -> None:
    os.mkfifo(root / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "socket"))
    try:
        started = time.monotonic()
        for path in ("pipe", "socket", "sub"):
            with pytest.raises(RetrieveError):
                read(root, path)
        assert time.monotonic() - started < 30
    finally:
        listener.close()
    for root_of, path in (("/dev", "zero"), ("/dev", "null"), ("/dev", "tty")):
        with pytest.raises(RetrieveError):
            read(Path(root_of), path)


def test_a_file_that_is_larger_than_it_says_is_cut_off() -> None:
    """Files of /proc have no size and yet content."""
    with pytest.raises(RetrieveError, match="larger than 10 bytes"):
        read(Path("/proc"), "meminfo", limit=10)


def test_size_has_a_limit(root: Path) -> None:
    (root / "big").write_bytes(b"x" * 1001)
    with pytest.raises(RetrieveError, match="1000 bytes"):
        read(root, "big")


def test_a_missing_root_is_an_error_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(RetrieveError, match="folder") as raised:
        read(tmp_path / "nothing", "x")
    assert str(tmp_path) not in str(raised.value)


def test_every_interface_with_a_folder_keeps_inside(root: Path) -> None:
    hostile = "../secret.txt"
    file = spec(FileInterface, kind="file", connection="x", path=hostile)
    log = spec(LogInterface, kind="log", connection="x", path=hostile, regex="(secret)")
    assessor = spec(AssessorInterface, kind="assessor", connection="x", path=hostile, returns="value")
    place = {"root": str(root)}
    for plugin, question, connection in (
        (FilePlugin(), file, spec(FileConnection, kind="file", **place)),
        (LogPlugin(), log, spec(LogConnection, kind="log", **place)),
        (AssessorPlugin(), assessor, spec(AssessorConnection, kind="assessor", **place)),
    ):
        with pytest.raises(RetrieveError, match="plain names"):
            retrieve(plugin, question, connection)


def test_a_fact_from_the_registry_cannot_climb(root: Path) -> None:
    question = spec(FileInterface, kind="file", connection="x", path="${subject.version}/secret.txt")
    connection = spec(FileConnection, kind="file", root=str(root))
    with pytest.raises(RetrieveError, match="characters"):
        retrieve(FilePlugin(), question, connection, SUBJECT.model_copy(update={"version": ".."}))
