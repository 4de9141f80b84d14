"""What the doctor finds on machines that are not as they should be, and what it says to do."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.doctor import Status, blocking, cluster, containers, machine, registries
from mlops.doctor.checks import Check
from mlops.errors import UsageError
from tests.support.host import GIB, FakeHost


def one(checks: list[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


def test_good_machine() -> None:
    checks = machine.examine(FakeHost()) + containers.examine(FakeHost(), lambda: ("podman", "installed"))
    assert not [check for check in checks if check.status is not Status.OK]


@pytest.mark.parametrize(
    ("host", "name", "status", "fix"),
    [
        (FakeHost(system="win32"), "system", Status.FAILED, "WSL"),
        (FakeHost(architecture="riscv64"), "system", Status.FAILED, "x86-64"),
        (FakeHost(python=(3, 10)), "python", Status.FAILED, "scripts/install"),
        (FakeHost(cores=1), "cpu", Status.WARNING, "2 cores"),
        (FakeHost(total=2 * GIB), "memory", Status.FAILED, "8 GiB"),
        (FakeHost(total=6 * GIB), "memory", Status.WARNING, "8 GiB"),
        (FakeHost(free=GIB), "disk for tools and images", Status.FAILED, "MLOPS_CACHE"),
        (FakeHost(free=10 * GIB), "disk for tools and images", Status.WARNING, "MLOPS_CACHE"),
        (FakeHost(free=GIB // 4), "disk for state", Status.FAILED, "MLOPS_STATE"),
        (
            FakeHost(files={"/proc/sys/fs/inotify/max_user_instances": "64"}, is_root=False),
            "inotify max_user_instances",
            Status.WARNING,
            "sudo sysctl fs.inotify.max_user_instances=512",
        ),
        (FakeHost(is_root=False), "kernel modules", Status.FAILED, "sudo mkdir -p /lib/modules/6.1.0"),
        (FakeHost(holders={5000: "airplay"}), "ports", Status.WARNING, "other ports"),
        (FakeHost(files={"/proc/2/comm": "sh\n"}), "virtualization", Status.WARNING, "--privileged"),
    ],
)
def test_machine_that_lacks_something(host: FakeHost, name: str, status: Status, fix: str) -> None:
    check = one(machine.examine(host), name)
    assert check.status is status
    assert check.fix
    assert fix in check.fix


def test_no_container_engine_is_one_clear_line() -> None:
    (check,) = containers.examine(FakeHost(is_root=False), lambda: None)
    assert check.status is Status.FAILED
    assert check.fix
    assert "podman" in check.fix


def test_root_on_debian_gets_podman_from_us() -> None:
    (check,) = containers.examine(FakeHost(), lambda: None)
    assert check.status is Status.WARNING


def test_wrong_choice_of_engine_is_told() -> None:
    def refuse() -> None:
        raise UsageError("MLOPS_ENGINE is 'dokcer'")

    (check,) = containers.examine(FakeHost(), refuse)
    assert "dokcer" in check.found
    assert check.status is Status.FAILED


def test_engine_that_does_not_answer() -> None:
    host = FakeHost(answers={"docker version": (1, "Cannot connect to the Docker daemon")})
    check = one(containers.examine(host, lambda: ("docker", "asked for")), "engine")
    assert check.status is Status.FAILED
    assert "Cannot connect" in check.found


HYBRID: dict[str, str | None] = {"/sys/fs/cgroup/cgroup.controllers": None}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (FakeHost(files=HYBRID), Status.OK),
        (FakeHost(files=HYBRID, programs=frozenset({"apt-get"})), Status.WARNING),
        (FakeHost(files=HYBRID, programs=frozenset()), Status.FAILED),
        (FakeHost(files=HYBRID, is_root=False), Status.FAILED),
        (FakeHost(files={"/sys/fs/cgroup/cgroup.controllers": "memory pids"}), Status.FAILED),
    ],
    ids=["runc", "runc can be installed", "no runc", "rootless", "cpu not delegated"],
)
def test_control_groups_under_podman(host: FakeHost, status: Status) -> None:
    assert one(containers.examine(host, lambda: ("podman", "installed")), "cgroups").status is status


def test_full_disk_of_the_engine() -> None:
    host = FakeHost(free=GIB, answers={"podman info --format {{.Store": (0, "/var/lib/containers")})
    check = one(containers.examine(host, lambda: ("podman", "installed")), "disk for containers")
    assert check.status is Status.FAILED
    assert blocking([check])


def test_source_and_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path))
    monkeypatch.delenv("MLOPS_SOURCE", raising=False)
    checks = registries.examine(lambda doors: {name: None if name == "PyPI" else "no route" for name in doors})
    assert "registry-only: not reachable" in one(checks, "source in use").found
    silent = one(checks, "registry-only does not answer")
    assert silent.status is Status.WARNING
    assert "Debian (no route)" in silent.found


def node(**conditions: str) -> dict[str, Any]:
    listed = [{"type": kind, "status": value, "message": f"{kind} said"} for kind, value in conditions.items()]
    return {"metadata": {"name": "n"}, "status": {"conditions": listed, "nodeInfo": {"kubeletVersion": "v1"}}}


@pytest.mark.parametrize(
    ("live", "status", "words"),
    [
        (node(Ready="True", MemoryPressure="False"), Status.OK, "ready"),
        (node(Ready="False"), Status.WARNING, "Ready said"),
        (node(Ready="True", DiskPressure="True"), Status.WARNING, "DiskPressure"),
    ],
)
def test_nodes(live: dict[str, Any], status: Status, words: str) -> None:
    (check,) = cluster.judge_nodes([live], "mlops up")
    assert check.status is status
    assert words in check.found


def test_pod_that_does_not_run_gives_its_reason() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}}
    bad = {
        "metadata": {"name": "p", "namespace": "shop"},
        "status": {"phase": "Pending", "containerStatuses": [waiting], "conditions": []},
    }
    done = {"metadata": {"name": "job", "namespace": "shop"}, "status": {"phase": "Succeeded"}}
    (check,) = cluster.judge_pods([bad, done])
    assert (check.name, check.found) == ("pod shop/p", "ImagePullBackOff")
    assert check.fix == "kubectl describe pod p -n shop"
