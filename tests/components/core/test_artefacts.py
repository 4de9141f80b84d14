"""Files of upstream projects are what was pinned, or nothing."""

from __future__ import annotations

import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from components._core import artefacts


def module(files: dict[str, str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name, text in files.items():
            target.writestr(name, text)
    return archive.getvalue()


GOOD = module({"example.com/Tool@v1.0.0/config/a.yaml": "a: 1\n", "example.com/Tool@v1.0.0/b.txt": "b\n"})
ESCAPING = module({"example.com/Tool@v1.0.0/../../b.txt": "b\n"})


def hash_of(archive: bytes) -> str:
    return artefacts._dirhash(zipfile.ZipFile(io.BytesIO(archive)))


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, bytes]]:
    """Serve a module proxy on loopback; the test says what it answers by path."""
    answers: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:{server.server_port},direct")
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path))
    yield answers
    server.shutdown()
    server.server_close()


def test_file_is_fetched_once_and_verified(proxy: dict[str, bytes]) -> None:
    proxy["/example.com/!tool/@v/v1.0.0.zip"] = GOOD
    wanted = artefacts.GoModule("example.com/Tool", "v1.0.0", hash_of(GOOD))
    assert wanted.file("config/a.yaml").read_text() == "a: 1\n"
    proxy.clear()
    assert wanted.file("b.txt").read_text() == "b\n"


def test_other_content_is_refused_and_leaves_nothing(proxy: dict[str, bytes], tmp_path: Path) -> None:
    proxy["/example.com/!tool/@v/v1.0.0.zip"] = GOOD
    with pytest.raises(artefacts.ArtefactError, match="wanted h1:other"):
        artefacts.GoModule("example.com/Tool", "v1.0.0", "h1:other").file("b.txt")
    assert not list((tmp_path / "artefacts").iterdir())


def test_file_outside_the_module_is_refused(proxy: dict[str, bytes], tmp_path: Path) -> None:
    proxy["/example.com/!tool/@v/v1.0.0.zip"] = ESCAPING
    with pytest.raises(artefacts.ArtefactError, match="outside itself"):
        artefacts.GoModule("example.com/Tool", "v1.0.0", hash_of(ESCAPING)).file("b.txt")
    assert not (tmp_path / "b.txt").exists()


def test_silent_proxy_and_missing_file_are_named(proxy: dict[str, bytes]) -> None:
    wanted = artefacts.GoModule("example.com/Tool", "v1.0.0", hash_of(GOOD))
    with pytest.raises(artefacts.ArtefactError, match=r"example\.com/Tool@v1\.0\.0 cannot be fetched"):
        wanted.file("b.txt")
    proxy["/example.com/!tool/@v/v1.0.0.zip"] = GOOD
    with pytest.raises(artefacts.ArtefactError, match=r"has no file c\.txt"):
        wanted.file("c.txt")


def test_hash_is_the_one_go_writes() -> None:
    """The checksum database's hash of a real module, as go.sum of toolchain/kserve holds it."""
    from components._core import paths

    line = next(
        line
        for line in (paths.CHECKOUT / "toolchain" / "kserve" / "go.sum").read_text().splitlines()
        if line.startswith("github.com/kserve/kserve v0.20.0 ")
    )
    assert artefacts.GoModule("github.com/kserve/kserve", "v0.20.0", line.split()[2]).file("config/crd").is_dir()
