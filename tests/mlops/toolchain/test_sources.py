"""Where tools come from: the choice, official downloads, Go's own words translated."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from components._core import sources
from components._core.sources import Source
from mlops.errors import OperationError, UsageError
from mlops.toolchain import golang
from mlops.toolchain.model import Module, NeededFor, Upstream, host_platform, modules
from mlops.toolchain.source import UPSTREAM, choose, probe
from mlops.toolchain.upstream import download

CONTENT = b"#!/bin/sh\necho kind\n"
SUM = hashlib.sha256(CONTENT).hexdigest()


def answers(*silent: str) -> Mapping[str, str | None]:
    return {name: ("no route" if name in silent else None) for name in UPSTREAM}


def test_option_wins_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SOURCE", "upstream")
    assert choose(Source.REGISTRY_ONLY).source is Source.REGISTRY_ONLY


def test_what_was_remembered_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    sources.remember(Source.UPSTREAM)
    assert choose(reachable=lambda _: answers("github.com")).source is Source.UPSTREAM
    monkeypatch.setenv("MLOPS_SOURCE", "registry-only")
    assert choose(reachable=lambda _: answers()).source is Source.REGISTRY_ONLY


def test_what_answers_decides() -> None:
    assert choose(reachable=lambda _: answers()).source is Source.UPSTREAM
    choice = choose(reachable=lambda _: answers("quay.io", "ghcr.io"))
    assert choice.source is Source.REGISTRY_ONLY
    assert choice.reason == "not reachable: quay.io, ghcr.io"


def test_wrong_word_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SOURCE", "upsteam")
    with pytest.raises(UsageError, match="upsteam") as failure:
        choose()
    assert "use one of upstream, registry-only" in str(failure.value)


@pytest.fixture
def site() -> Iterator[str]:
    """A server that answers with the number in the path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (named by the standard library)
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_probe_tells_an_answer_from_a_refusal(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = probe({str(code): f"{site}/{code}" for code in (200, 302, 401, 403, 503)} | {"none": "http://127.0.0.1:1/"})
    assert {name: problem for name, problem in found.items() if problem is None} == dict.fromkeys(["200", "302", "401"])
    assert found["403"] == "answers 403"
    assert "refused" in str(found["none"])


def tool(**upstream: object) -> Module:
    official = {"url": "https://get.example.org/v{version}/kind-{os}-{arch}",
                "checksums": "https://get.example.org/v{version}/sums"}  # fmt: skip
    return Module(
        name="kind", summary="x", version="1.2.3", needed_for=NeededFor.HOST, binaries={"kind": "x"},
        seconds=1, megabytes=1,
        upstream=Upstream.model_validate(official | upstream),
    )  # fmt: skip


def site_of(files: Mapping[str, bytes]) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        content = files.get(request.url.path)
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    return httpx.Client(transport=httpx.MockTransport(answer))


def test_binary_is_downloaded_and_checked(tmp_path: Path) -> None:
    system, arch = host_platform()
    name = f"kind-{system}-{arch}"
    sums = f"{'0' * 64}  other\n{SUM} *{name}\n".encode()
    download(tool(), tmp_path, site_of({f"/v1.2.3/{name}": CONTENT, "/v1.2.3/sums": sums}))
    assert [entry.name for entry in tmp_path.iterdir()] == ["kind"]
    assert (tmp_path / "kind").read_bytes() == CONTENT
    assert os.access(tmp_path / "kind", os.X_OK)


def test_archive_is_unpacked_and_architectures_are_spelled(tmp_path: Path) -> None:
    system, arch = host_platform()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in ("pulumi", "pulumi-language-python"):
            entry = tarfile.TarInfo(f"pulumi/{name}")
            entry.size, entry.mode = len(CONTENT), 0o755
            tar.addfile(entry, io.BytesIO(CONTENT))
    name = f"pulumi-{system}-x.tar.gz"
    module = tool(url="https://e.org/pulumi-{os}-{arch}.tar.gz", checksums="https://e.org/sums", folder="pulumi",
                  architectures={arch: "x"})  # fmt: skip
    sums = f"{hashlib.sha256(archive.getvalue()).hexdigest()}  {name}\n".encode()
    download(module, tmp_path, site_of({f"/{name}": archive.getvalue(), "/sums": sums}))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pulumi", "pulumi-language-python"]


def test_altered_download_is_refused(tmp_path: Path) -> None:
    system, arch = host_platform()
    client = site_of({f"/v1.2.3/kind-{system}-{arch}": b"evil", "/v1.2.3/sums": SUM.encode()})
    with pytest.raises(OperationError, match=f"is not what its project published: SHA-256 found .*, wanted {SUM}"):
        download(tool(), tmp_path, client)


def test_download_without_a_published_checksum_is_refused(tmp_path: Path) -> None:
    system, arch = host_platform()
    with pytest.raises(OperationError, match=r"no SHA-256 of kind-\S+ is published"):
        download(tool(), tmp_path, site_of({f"/v1.2.3/kind-{system}-{arch}": CONTENT, "/v1.2.3/sums": b"<html>"}))


def test_silent_site_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match=r"cannot be fetched from https://get\.example\.org") as failure:
        download(tool(), tmp_path, site_of({}))
    assert "registry-only" in str(failure.value)


def test_builds_are_verified_whatever_the_machine_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GOSUMDB": "off", "GONOSUMDB": "*", "GOFLAGS": "-insecure", "GOPRIVATE": "*", "GOROOT": "/x",
                        "GOPROXY": "https://mirror.example.org", "GOOS": "plan9"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    env = golang.environment()
    assert env["GOSUMDB"] == "sum.golang.org"
    assert env["GOFLAGS"] == "-mod=readonly"
    assert env["GOPROXY"] == "https://mirror.example.org"
    assert env["GOMODCACHE"] == str(cache / "go" / "mod")
    assert not {"GONOSUMDB", "GOPRIVATE", "GOROOT", "GOOS"} & set(env)


class Go:
    """Puts a script in the place of the pinned Go toolchain."""

    def __init__(self, cache: Path, script: str) -> None:
        go = cache / "toolchain" / "go-1.26.6" / "go" / "bin" / "go"
        go.parent.mkdir(parents=True)
        go.write_text(f"#!/bin/sh\n{script}\n")
        go.chmod(0o755)


@pytest.mark.parametrize(
    ("said", "told", "fix"),
    [
        ("write /x: no space left on device", "the disk is full", "MLOPS_CACHE"),
        ("verifying x: checksum mismatch", "a downloaded module is not what go.sum says", "GOPROXY"),
        ("dial tcp 1.2.3.4:443: connect: refused", "the Go module proxy does not answer", "network"),
        ("compile: signal: killed", "the machine ran out of memory", "close other programs"),
        ("x.go:1: syntax error", "x.go:1: syntax error", "mlops toolchain install kind"),
    ],
)
def test_what_go_says_is_translated(cache: Path, tmp_path: Path, said: str, told: str, fix: str) -> None:
    Go(cache, f"echo '{said}'; exit 1")
    with pytest.raises(OperationError, match=r"kind 0\.33\.0 could not be built") as failure:
        golang.build(modules()["kind"], tmp_path)
    assert told in str(failure.value)
    assert fix in str(failure.value)


def test_build_asks_for_what_the_lock_names(cache: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    Go(cache, f'echo "$@" > {tmp_path}/args; pwd > {tmp_path}/pwd; for n in agent manager; do touch {into}/$n; done')
    golang.build(modules()["kserve"], into)
    args = (tmp_path / "args").read_text().split()
    assert args[:4] == ["build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false"]
    assert args[-2:] == ["github.com/kserve/kserve/cmd/agent", "github.com/kserve/kserve/cmd/manager"]
    assert (tmp_path / "pwd").read_text().strip() == str(modules()["kserve"].folder)
    assert sorted(file.name for file in into.iterdir()) == ["kserve-agent", "kserve-manager"]
