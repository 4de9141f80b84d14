"""Installing: order, what is kept, what is said, what happens when it goes wrong."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from components._core import sources
from components._core.sources import Source
from mlops import toolchain
from mlops.errors import OperationError, UsageError
from mlops.toolchain.install import Installer
from mlops.toolchain.model import modules
from mlops.toolchain.progress import Progress
from mlops.toolchain.source import Choice
from mlops.toolchain.store import folder_of, locked, place, prune, read_manifest, sha256, sweep


def test_named_tools_are_built_once_and_recorded(cache: Path, builds: Any, registry_only: Choice) -> None:
    compiler = builds()
    installer = Installer(registry_only, {Source.REGISTRY_ONLY: compiler})
    installer.install(["ctr", "kind"])
    installer.install(["kind"])
    assert compiler.built == ["kind", "containerd"]
    folder = folder_of(modules()["kind"], Source.REGISTRY_ONLY)
    assert folder.parent == cache / "toolchain"
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.version == modules()["kind"].version
    assert manifest.binaries == {"kind": sha256(folder / "kind")}
    assert sources.chosen() is Source.REGISTRY_ONLY


def test_without_names_registry_only_needs_everything_and_upstream_what_runs_here(registry_only: Choice) -> None:
    everything = [module.name for module in Installer(registry_only).wanted(None)]
    assert everything == [name for name in modules() if name != "helm"]
    upstream = Installer(Choice(Source.UPSTREAM, "asked for"))
    assert {module.name for module in upstream.wanted(None)} == {"pulumi", "kind", "kubernetes"}
    assert [module.name for module in upstream.wanted(["helm"])] == ["helm"], "who asks for it by name gets it"


def test_what_nobody_publishes_is_built_by_either_source(builds: Any) -> None:
    compiler, download = builds(), builds()
    fetch = {Source.REGISTRY_ONLY: compiler, Source.UPSTREAM: download}
    Installer(Choice(Source.UPSTREAM, "asked for"), fetch).install(["etcd", "kind"])
    assert (compiler.built, download.built) == (["etcd"], ["kind"])


def test_failed_build_leaves_nothing_and_keeps_what_was_finished(builds: Any, registry_only: Choice) -> None:
    Installer(registry_only, {Source.REGISTRY_ONLY: builds()}).install(["kind"])
    broken = builds(OperationError("no network", fix="plug it in"))
    with pytest.raises(OperationError, match="no network"):
        Installer(registry_only, {Source.REGISTRY_ONLY: broken}).install(["kind", "etcd"])
    assert broken.built == ["etcd"]
    left = {entry.name for entry in folder_of(modules()["kind"], Source.REGISTRY_ONLY).parent.iterdir()}
    assert left == {".build.lock", folder_of(modules()["kind"], Source.REGISTRY_ONLY).name}


def test_unknown_tool_is_an_error_before_anything_is_built(builds: Any, registry_only: Choice) -> None:
    compiler = builds()
    with pytest.raises(UsageError, match="there is no tool called 'kin'"):
        Installer(registry_only, {Source.REGISTRY_ONLY: compiler}).install(["kind", "kin"])
    assert compiler.built == []


def test_full_disk_is_told_before_anything_is_built(builds: Any, registry_only: Choice) -> None:
    compiler = builds()
    installer = Installer(registry_only, {Source.REGISTRY_ONLY: compiler}, free=lambda _: 5e9)
    with pytest.raises(OperationError, match=r"has 5\.0 GB free; the tools need 1\d\.\d GB") as failure:
        installer.install([name for name in modules() if name != "pulumi"] + ["pulumi"])
    assert "MLOPS_CACHE" in str(failure.value)
    assert compiler.built == []


def test_folder_that_lost_a_file_is_not_installed(builds: Any, registry_only: Choice) -> None:
    installer = Installer(registry_only, {Source.REGISTRY_ONLY: builds()})
    installer.install(["kind"])
    (installer.folder(modules()["kind"]) / "kind").unlink()
    assert installer.missing(installer.wanted(["kind"])) == [modules()["kind"]]
    installer.install(["kind"])
    assert installer.missing(installer.wanted(["kind"])) == []


def test_garbled_manifest_is_not_installed(builds: Any, registry_only: Choice) -> None:
    installer = Installer(registry_only, {Source.REGISTRY_ONLY: builds()})
    installer.install(["kind"])
    file = installer.folder(modules()["kind"]) / "manifest.json"
    for text in ("", "[]", "{}", json.dumps({"module": "kind"})):
        file.write_text(text)
        assert installer.manifest(modules()["kind"]) is None


def test_two_at_once_build_once(builds: Any, registry_only: Choice) -> None:
    compiler = builds()
    threads = [
        threading.Thread(target=Installer(registry_only, {Source.REGISTRY_ONLY: compiler}).install, args=(["kind"],))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiler.built == ["kind"]


def test_lock_tells_who_has_to_wait() -> None:
    told: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def holder() -> None:
        with locked("test", lambda: told.append("holder")):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=holder)
    thread.start()
    entered.wait(10)

    def waiting() -> None:
        told.append("second")
        leave.set()

    with locked("test", waiting):
        pass
    thread.join()
    assert told == ["second"]


def test_leftovers_of_dead_processes_are_swept(cache: Path) -> None:
    (cache / "toolchain" / "kind-1.999999999.partial").mkdir(parents=True)
    alive = cache / "toolchain" / f"kind-1.{os.getpid()}.partial"
    alive.mkdir()
    sweep()
    assert [entry.name for entry in (cache / "toolchain").iterdir()] == [alive.name]


def test_prune_keeps_what_is_named(cache: Path, builds: Any) -> None:
    kept = place(modules()["kind"], Source.REGISTRY_ONLY, lambda: 0.0, lambda into: builds()(modules()["kind"], into))
    old = cache / "plugins" / "code-old"
    old.mkdir(parents=True)
    (old / "file").write_bytes(b"x" * 100)
    assert prune({kept}) == 100
    assert kept.exists()
    assert not old.exists()


def test_plain_log_has_a_line_at_start_on_the_way_and_at_the_end() -> None:
    text = io.StringIO()
    progress = Progress([("kind 1", 41), ("etcd 2", 90)], output=Console(file=text, width=100), repeat=0.01)
    with progress.shown(), progress.step("kind 1"):
        threading.Event().wait(0.1)
    with pytest.raises(ValueError, match="bad"), progress.step("etcd 2"):
        raise ValueError("bad")
    lines = text.getvalue().splitlines()
    assert lines[0] == "kind 1: about 41 s"
    assert "  kind 1: 0 s of about 41 s" in lines
    assert "✔ kind 1  0 s" in lines
    assert "etcd 2: about 1 min 30 s" in lines
    assert lines[-1] == "✖ etcd 2  0 s"


def test_terminal_shows_every_tool() -> None:
    text = io.StringIO()
    output = Console(file=text, width=100, force_terminal=True)
    progress = Progress([("kind 1", 41), ("etcd 2", 90)], output=output)
    with progress.shown(), progress.step("kind 1"):
        progress.note("by the way")
    for part in ("kind 1", "etcd 2", "about 1 min 30 s", "by the way", "together"):
        assert part in text.getvalue()


def test_packages_of_the_system_come_before_the_tools_and_only_with_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[object] = []
    monkeypatch.setattr("mlops.toolchain.system.ensure", lambda source, *, allowed: done.append((source, allowed)))
    monkeypatch.setattr(Installer, "install", lambda _self, names: done.append(names))
    toolchain.install(source=Source.REGISTRY_ONLY)
    toolchain.install(source=Source.REGISTRY_ONLY, system_packages=False)
    toolchain.install(["kind"], source=Source.REGISTRY_ONLY)
    registry_only = Source.REGISTRY_ONLY
    assert done == [(registry_only, None), None, (registry_only, False), None, ["kind"]]
