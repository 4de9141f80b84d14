"""Making and removing clusters: what was interrupted, what is somebody else's, what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest

from components._core.engine import EngineError
from components.kind_cluster.kind import Kind, KindError, Marker, cluster_config
from components.kind_cluster.nodes import Nodes
from tests.support.container_engine import PaperEngine

IMAGE = "docker.io/kindest/node:v1"
NODE = "trial-control-plane"


def test_cluster_is_made_with_its_outputs(kind: Kind, paper: PaperEngine) -> None:
    made = kind.create("trial", IMAGE)
    assert made["container"] == "id-1"
    assert made["endpoint"] == "https://127.0.0.1:1234"
    assert made["kubeconfig"].startswith("apiVersion: v1")
    assert paper.state["config"]["nodes"] == [{"role": "control-plane", "image": IMAGE}]


def test_kubeconfig_of_the_user_is_left_alone(kind: Kind, paper: PaperEngine) -> None:
    made = kind.create("trial", IMAGE)
    kind.delete("trial", made["container"])
    assert all("--kubeconfig" in call for call in paper.calls("kind create"))
    assert not paper.calls("kind delete")  # it would edit the user's file


def test_nothing_is_left_of_a_removed_cluster(kind: Kind, paper: PaperEngine) -> None:
    made = kind.create("trial", IMAGE)
    kind.delete("trial", made["container"])
    left = paper.state
    assert (left["containers"], left["volumes"], left["networks"]) == ({}, {}, [])
    assert Marker.read("trial") is None


@pytest.mark.usefixtures("paper")
def test_images_that_go_in_at_once_may_all_say_that_the_cluster_is_recorded() -> None:
    marker = Marker("creation", NODE, "backend", 1, recorded=True)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: marker.write("trial"), range(400)))
    assert Marker.read("trial") == marker


def test_network_stays_while_another_cluster_uses_it(kind: Kind, paper: PaperEngine) -> None:
    made = kind.create("trial", IMAGE)
    kind.create("other", IMAGE)
    kind.delete("trial", made["container"])
    assert paper.state["networks"] == ["kind"]
    assert set(paper.state["containers"]) == {"other-control-plane"}


def test_removing_twice_is_no_error(kind: Kind) -> None:
    made = kind.create("trial", IMAGE)
    kind.delete("trial", made["container"])
    kind.delete("trial", made["container"])


def test_cluster_of_somebody_else_is_neither_adopted_nor_removed(kind: Kind, paper: PaperEngine) -> None:
    paper.change(containers={NODE: {"id": "theirs", "cluster": "trial", "running": True}})
    with pytest.raises(KindError, match="named trial exists and the state of this stack does not know it; fix: remove"):
        kind.create("trial", IMAGE)
    kind.delete("trial", "ours")
    assert paper.state["containers"][NODE]["id"] == "theirs"
    assert kind.find("trial", "ours") is None


@pytest.mark.parametrize(
    "change", [{"recorded": True}, {"backend": "file:///elsewhere"}], ids=["recorded", "other backend"]
)
def test_cluster_that_another_state_has_is_not_taken(kind: Kind, change: dict[str, object]) -> None:
    kind.create("trial", IMAGE)
    marker = Marker.read("trial")
    assert marker
    replace(marker, **change).write("trial")  # type: ignore[arg-type]
    with pytest.raises(KindError, match="does not know it"):
        kind.create("trial", IMAGE)


def test_finished_cluster_that_was_not_recorded_is_taken_over(kind: Kind, paper: PaperEngine) -> None:
    first = kind.create("trial", IMAGE)
    assert kind.create("trial", IMAGE) == first
    assert len(paper.calls("kind create")) == 1


def test_unfinished_cluster_of_ours_is_made_anew(kind: Kind, paper: PaperEngine) -> None:
    kind.create("trial", IMAGE)
    paper.change(containers={NODE: {"id": "half", "cluster": "trial", "running": False}})
    assert kind.create("trial", IMAGE)["container"] == "id-2"
    assert list(paper.state["volumes"]) == ["volume-2"]


def test_cluster_of_another_image_that_was_not_recorded_is_made_anew(kind: Kind) -> None:
    kind.create("trial", IMAGE)
    assert kind.create("trial", "docker.io/kindest/node:v2")["container"] == "id-2"


def test_volume_without_its_node_is_removed_before_a_cluster_is_made(kind: Kind, paper: PaperEngine) -> None:
    paper.change(volumes={"left": NODE})
    kind.create("trial", IMAGE)
    assert list(paper.state["volumes"]) == ["volume-1"]


def test_killed_creation_is_finished_by_the_next(kind: Kind, paper: PaperEngine) -> None:
    paper.change(slow=1)
    code = f"from components.kind_cluster.kind import Kind; Kind.here().create('trial', {IMAGE!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 30
    while not (paper.state["containers"] and (marker := Marker.read("trial")) and marker.process):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kind.create("trial", IMAGE)["container"] == "id-1"  # its kind went on working, and was waited for
    assert list(paper.state["volumes"]) == ["volume-1"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ERROR: listen tcp 127.0.0.1:6443: bind: address already in use", "a port it needs is taken; fix: see which"),
        ("write /var/lib: no space left on device", "the disk is full; fix: free space"),
        ("ERROR: failed to pull image", "the node image cannot be pulled; fix: mlops doctor"),
        ("ERROR: something new", "ERROR: something new"),
    ],
)
def test_failure_of_kind_is_told_with_its_cause_and_leaves_nothing(
    kind: Kind, paper: PaperEngine, said: str, told: str
) -> None:
    paper.change(fail={"kind": said}, volumes={"half": NODE})
    with pytest.raises(KindError, match=told) as failure:
        kind.create("trial", IMAGE)
    assert "cannot create cluster trial" in str(failure.value)
    assert "Preparing nodes" not in str(failure.value)
    assert paper.state["volumes"] == {}
    assert Marker.read("trial") is None


def test_node_that_never_becomes_ready_is_told_with_its_last_words(paper: PaperEngine) -> None:
    nodes = Nodes(paper.engine, sleep=lambda _seconds: None)
    paper.change(containers={NODE: {"id": "1", "cluster": "trial", "running": False}})
    with pytest.raises(EngineError, match=r"not ready after 2 s: the node is not ready(.|\n)*the kubelet's last words"):
        nodes.wait_ready("trial", seconds=2)


def test_volume_that_stays_is_named(paper: PaperEngine) -> None:
    paper.change(volumes={"stuck": NODE})
    with pytest.raises(EngineError, match="these are left after 2 s: volume stuck"):
        Nodes(paper.engine, sleep=lambda _seconds: None).wait_gone("trial", seconds=2)


def test_missing_tools_are_named(paper: PaperEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(paper.folder))
    with pytest.raises(KindError, match="docker or podman, and neither is on PATH; fix: mlops doctor"):
        Kind.here()
    monkeypatch.setenv("PATH", str(paper.folder / "bin"))
    (paper.folder / "bin" / "kind").unlink()
    with pytest.raises(KindError, match="kind is not on PATH; fix: mlops toolchain install"):
        Kind.here()


def test_only_our_own_node_image_goes_without_the_network_of_kind() -> None:
    ours = cluster_config("localhost/oss-mlops-platform/node:1")
    assert ours["networking"] == {"disableDefaultCNI": True}
    assert cluster_config(IMAGE)["networking"] == {"disableDefaultCNI": False}
    kubelet = json.loads(ours["kubeadmConfigPatches"][0])
    assert (kubelet["failCgroupV1"], kubelet["syncFrequency"]) == (False, "15s")


def test_a_marker_is_alive_as_long_as_its_kind_runs() -> None:
    def alive(process: int) -> bool:
        return Marker("creation", "node", "backend", process).alive

    assert not alive(0)
    with subprocess.Popen([sys.executable, "-c", "input()", "kind"], stdin=subprocess.PIPE) as kind:
        assert alive(kind.pid)
        kind.kill()
        os.waitid(os.P_PID, kind.pid, os.WEXITED | os.WNOWAIT)  # it is dead and nobody has asked for its exit code
        assert not alive(kind.pid)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        while not psutil.Process(other.pid).cmdline():
            time.sleep(0.01)
        assert not alive(other.pid)
        other.kill()
