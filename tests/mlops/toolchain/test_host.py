"""What the machine has and lacks: container engine, packages of the system, the environment of every command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from components._core import paths, sources
from components._core.sources import Source
from mlops import toolchain
from mlops.errors import OperationError, UsageError
from mlops.toolchain import containers, system
from mlops.toolchain.environment import LOCAL_PASSPHRASE
from mlops.toolchain.system import Package


class Machine:
    """A PATH with the programs that a test wants, each a script."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))

    def has(self, name: str, script: str = "exit 0") -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)
        containers.find_engine.cache_clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path / "bin", monkeypatch)


def test_docker_with_a_daemon_wins(machine: Machine) -> None:
    machine.has("docker", "echo 27.0")
    machine.has("podman")
    assert toolchain.engine() == toolchain.Engine("docker", machine.folder / "docker", "its daemon is running")
    assert "KIND_EXPERIMENTAL_PROVIDER" not in toolchain.environment()


def test_docker_without_a_daemon_is_passed_over(machine: Machine) -> None:
    machine.has("docker", "exit 1")
    machine.has("podman")
    assert toolchain.engine() == toolchain.Engine("podman", machine.folder / "podman", "docker has no running daemon")
    assert toolchain.environment()["KIND_EXPERIMENTAL_PROVIDER"] == "podman"


def test_override_wins(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has("docker", "echo 27.0")
    machine.has("podman")
    monkeypatch.setenv("MLOPS_ENGINE", "podman")
    assert toolchain.engine().name == "podman"


@pytest.mark.parametrize(("word", "told"), [("containerd", "MLOPS_ENGINE is 'containerd'"), ("podman", "not on PATH")])
def test_wrong_override_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch, word: str, told: str) -> None:
    machine.has("docker", "echo 27.0")
    monkeypatch.setenv("MLOPS_ENGINE", word)
    with pytest.raises(UsageError, match=told):
        toolchain.engine()


def test_no_engine_is_told(machine: Machine) -> None:
    machine.has("docker", "exit 1")
    with pytest.raises(OperationError, match="no container engine"):
        toolchain.engine()


def test_settings_of_podman_are_written_where_limits_cannot_be_raised(machine: Machine) -> None:
    machine.has("podman")
    machine.has("runc")
    found = toolchain.environment().get("CONTAINERS_CONF")
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    if os.geteuid() == 0 and not effective >> 24 & 1:
        assert found == str(paths.state("containers.conf"))
        text = Path(found).read_text()
        assert "default_ulimits = []" in text
        assert 'runtime = "runc"' in text
    else:
        assert found is None


def test_settings_of_the_user_are_left_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has("podman")
    monkeypatch.setenv("CONTAINERS_CONF", "/mine")
    assert toolchain.environment()["CONTAINERS_CONF"] == "/mine"


PODMAN = Package("podman", "runs containers", command="podman")
BUILDAH = Package("buildah", "builds images", command="buildah")


class Apt:
    """Stands for apt-get: keeps what it was asked."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.asked: list[list[str]] = []

    def __call__(self, arguments: Sequence[str], env: Mapping[str, str]) -> int:
        assert env["DEBIAN_FRONTEND"] == "noninteractive"
        self.asked.append(list(arguments))
        return self.code


def test_nothing_missing_asks_nothing() -> None:
    apt = Apt()
    system.ensure(Source.REGISTRY_ONLY, lacking=lambda _: [], run=apt)
    assert apt.asked == []


@pytest.mark.skipif(not system._is_debian(), reason="installs with apt-get")
def test_packages_are_installed_where_that_is_allowed() -> None:
    apt = Apt()
    system.ensure(Source.REGISTRY_ONLY, allowed=True, lacking=lambda _: [PODMAN, BUILDAH], run=apt)
    assert apt.asked[-1][-3:] == ["--no-install-recommends", "podman", "buildah"]
    assert "update" in apt.asked[0]


def test_packages_are_named_with_the_line_to_run_where_it_is_not() -> None:
    apt = Apt()
    with pytest.raises(OperationError, match="packages of the system are missing: podman, buildah") as failure:
        system.ensure(Source.REGISTRY_ONLY, allowed=False, lacking=lambda _: [PODMAN, BUILDAH], run=apt)
    assert "apt-get install -y --no-install-recommends podman buildah" in str(failure.value)
    assert apt.asked == []


@pytest.mark.skipif(not system._is_debian(), reason="installs with apt-get")
def test_failed_installation_is_told() -> None:
    with pytest.raises(OperationError, match="`apt-get update -qq` failed with 100"):
        system.ensure(Source.REGISTRY_ONLY, allowed=True, lacking=lambda _: [PODMAN], run=Apt(100))


def test_upstream_needs_no_packages_and_docker_no_podman(machine: Machine) -> None:
    assert system.missing(Source.UPSTREAM) == []
    machine.has("docker", "echo 27.0")
    assert not {"podman", "conmon", "netavark"} & {package.name for package in system.missing(Source.REGISTRY_ONLY)}


def test_state_is_private_and_the_passphrase_is_made_once() -> None:
    first = toolchain.environment()
    state = Path(first["PULUMI_BACKEND_URL"].removeprefix("file://").removesuffix("?metadata=skip"))
    assert state == paths.state("pulumi")
    assert state.stat().st_mode & 0o777 == 0o700
    file = Path(first["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert file.read_text() == LOCAL_PASSPHRASE
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("changed")
    toolchain.environment()
    assert file.read_text() == "changed"


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_passphrase_of_the_user_wins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    found = toolchain.environment()
    assert found[name] == ""
    assert {"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & set(found) == {name}
    assert not paths.state("passphrase").exists()


def test_engine_of_ours_keeps_no_logs_and_the_users_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toolchain.environment()
    toolchain.environment()
    assert (paths.pulumi_home() / "logs").is_file()
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path))
    toolchain.environment()
    assert not (tmp_path / "logs").exists()


def test_logs_that_somebody_wants_stay() -> None:
    (paths.pulumi_home() / "logs").mkdir(parents=True)
    toolchain.environment()
    assert (paths.pulumi_home() / "logs").is_dir()


def test_settings_of_the_user_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://team")
    monkeypatch.setenv("PULUMI_HOME", "/mine")
    monkeypatch.setenv("PULUMI_PYTHON_CMD", "python9")
    found = toolchain.environment()
    assert (found["PULUMI_BACKEND_URL"], found["PULUMI_HOME"], found["PULUMI_PYTHON_CMD"]) == (
        "s3://team",
        "/mine",
        "python9",
    )


def test_tools_come_first_on_the_path_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sources.remember(Source.REGISTRY_ONLY)
    once = toolchain.environment()["PATH"]
    monkeypatch.setenv("PATH", once)
    assert toolchain.environment()["PATH"] == once
    folders = once.split(os.pathsep)
    assert folders[0].startswith(str(paths.cache("plugins", "engine-")))
    assert str(Path(sys.executable).parent) in folders


def test_only_registry_only_forbids_downloads() -> None:
    sources.remember(Source.UPSTREAM)
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in toolchain.environment()
    sources.remember(Source.REGISTRY_ONLY)
    assert toolchain.environment()["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


def test_exports_are_what_a_shell_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "a folder; rm"))
    monkeypatch.setenv("MLOPS_ENGINE", "")
    script = f'{toolchain.exports()}\nprintf %s "$PULUMI_HOME"'
    told = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == str(tmp_path / "a folder; rm")
    assert all(shlex.split(line)[0] in {"export", "unset"} for line in toolchain.exports().splitlines())
