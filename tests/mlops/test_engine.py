"""Running the real engine on a small program: progress, failure, Ctrl-C, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from components._core import paths
from mlops import runs
from mlops.engine import Interrupted, Stack
from mlops.errors import OperationError
from mlops.toolchain.environment import without_logs

pytestmark = pytest.mark.engine

PROGRAM = """
import pulumi
from slow import Slow

config = pulumi.Config()
for number in range(2):
    Slow(f"slow-{number}", config.get_float("seconds") or 0.0)
Slow("last", 0.0, fail=bool(config.get_bool("fail")))
pulumi.export("answer", pulumi.Output.secret("42"))
"""

SLOW = """
import time
from pulumi import dynamic

class Provider(dynamic.ResourceProvider):
    def create(self, props):
        time.sleep(props["seconds"])
        if props["fail"]:
            raise RuntimeError("the kettle is empty")
        return dynamic.CreateResult("id", props)

    def diff(self, id, olds, news):
        return dynamic.DiffResult(changes=False)

    def read(self, id, props):
        return dynamic.ReadResult(id, props)

class Slow(dynamic.Resource, module="test", name="Slow"):
    def __init__(self, name, seconds, fail=False):
        super().__init__(Provider(), name, {"seconds": seconds, "fail": fail})
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("MLOPS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    runtime = {"name": "python", "options": {"toolchain": "uv", "virtualenv": str(Path(sys.executable).parents[1])}}
    (tmp_path / "Pulumi.yaml").write_text(json.dumps({"name": "small", "runtime": runtime}))
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "slow.py").write_text(SLOW)
    found = Stack("test", tmp_path)
    found.ensure()
    return found


def configure(stack: Stack, **values: str) -> None:
    for key, value in values.items():
        command = ["pulumi", "config", "set", key, value, "--stack", stack.name]
        subprocess.run(command, cwd=stack.project, env=stack.environment, check=True)


def test_up_again_and_down(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.up().summary == "3 created"
    assert "created Slow slow-0" in capsys.readouterr().err
    assert stack.outputs() == {"answer": "42"}
    assert stack.up().summary == "4 unchanged"
    assert "Slow" not in capsys.readouterr().err
    assert stack.destroy().summary == "3 deleted"
    stack.remove()
    assert not stack.exists()


def written(stack: Stack) -> Path:
    folder = stack.environment["PULUMI_BACKEND_URL"].removeprefix("file://").partition("?")[0]
    return Path(folder, ".pulumi", "stacks", "small", f"{stack.name}.json")


def test_engine_killed_while_it_wrote_the_state_costs_nothing(stack: Stack) -> None:
    stack.up()
    file = written(stack)
    assert not file.with_name(f"{file.name}.attrs").exists(), "written beside the state, and not at once"
    # A backend of the user's own has them; this is what a kill leaves.
    file.with_name(f"{file.name}.attrs").touch()
    file.with_name(f"{file.name}.18eb158239798354.tmp").write_text('{"half": ')
    with pytest.raises(OperationError, match="the state of stack test cannot be read"):
        stack.ensure()
    stack.recover()
    stack.ensure()
    assert stack.up().summary == "4 unchanged"
    assert [each.name for each in file.parent.glob("*.tmp")] == []


def test_unreadable_state_is_not_taken_for_none(stack: Stack) -> None:
    stack.up()
    written(stack).write_text("{")
    for work in (stack.ensure, stack.recover):
        with pytest.raises(OperationError, match="the state of stack test cannot be read"):
            work()
    assert written(stack).read_text() == "{"


def test_engine_runs_without_its_logs(stack: Stack, tmp_path: Path) -> None:
    home = tmp_path / "home"
    without_logs(home)
    (home / "plugins").symlink_to(Path(stack.environment["PULUMI_HOME"], "plugins"))
    stack.environment["PULUMI_HOME"] = str(home)
    assert stack.up().summary == "3 created"
    assert (home / "logs").is_file()


def test_quick_destroy_leaves_an_empty_state(stack: Stack) -> None:
    stack.up()
    assert stack.destroy(quick=True).summary == "3 deleted"
    assert stack.resources() == []


def test_failure_names_the_resource_and_the_reason(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    configure(stack, fail="true")
    with pytest.raises(OperationError, match="failed at Slow last"):
        stack.up()
    assert "the kettle is empty" in capsys.readouterr().err


def test_ctrl_c_ends_what_is_under_way_and_keeps_it(stack: Stack) -> None:
    configure(stack, seconds="3")
    threading.Timer(4, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted) as caught:
        stack.up()
    assert "mlops up --stack test" in str(caught.value.fix)
    assert not stack.state()["deployment"].get("pending_operations")
    configure(stack, seconds="0")
    stack.recover()
    stack.up()
    assert len(stack.resources()) == 5


def test_killed_engine_leaves_nothing_in_the_way(stack: Stack) -> None:
    configure(stack, seconds="20")
    killed = begin(stack)
    killed.kill()
    killed.wait()
    assert stack.state()["deployment"]["pending_operations"]
    assert members(killed.pid), "the plugin outlives its engine, or this test shows nothing"
    stack.recover()
    assert not members(killed.pid)
    assert not stack.state()["deployment"].get("pending_operations")
    configure(stack, seconds="0")
    stack.up()
    assert len(stack.resources()) == 5


def test_engine_at_work_is_left_alone(stack: Stack) -> None:
    configure(stack, seconds="6")
    working = begin(stack)
    with pytest.raises(OperationError, match=f"process {working.pid}"):
        stack.recover()
    assert working.wait(timeout=60) == 0


def test_engine_whose_command_was_killed_is_ended_first(stack: Stack) -> None:
    configure(stack, seconds="5")
    code = f"from mlops.engine import Stack; from pathlib import Path; Stack('test', Path({str(stack.project)!r})).up()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=paths.CHECKOUT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as command:
        engine = wait_for_work(stack)
        command.kill()
        command.wait()
    stack.recover()
    assert not psutil.pid_exists(engine)
    configure(stack, seconds="0")
    stack.up()
    assert len(stack.resources()) == 5


def test_one_command_at_a_time(stack: Stack) -> None:
    assert stack
    with (
        runs.exclusive("test", "up"),
        pytest.raises(OperationError, match="in use by `mlops up`"),
        runs.exclusive("test", "down"),
    ):
        pass
    with runs.exclusive("test", "down"):
        pass


def begin(stack: Stack) -> subprocess.Popen[bytes]:
    """Start an engine as a person's shell would, and wait until it creates something."""
    command = ["pulumi", "up", "--stack", stack.name, "--yes", "--skip-preview", "--non-interactive"]
    process = subprocess.Popen(
        command,
        cwd=stack.project,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_work(stack)
    return process


def wait_for_work(stack: Stack) -> int:
    """Wait until an engine holds the stack and creates; return its process."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = runs.locks(stack.environment["PULUMI_BACKEND_URL"], "small", stack.name)
        if found and stack.state()["deployment"].get("pending_operations"):
            return found[0].pid
        time.sleep(0.2)
    msg = "the engine began nothing"
    raise AssertionError(msg)


def members(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (OSError, psutil.NoSuchProcess):
            continue
    return found
