"""What the real engine tells of its operations and of drift is what the documents are made of."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cabc_platform.documents import verify

from mlops.engine import Stack
from mlops.evidence import recording
from mlops.evidence.keeping import FileChain

pytestmark = pytest.mark.engine

PROGRAM = """
import pulumi
from thing import Thing

Thing("thing", pulumi.Config().require("file"), "as it should be")
"""

THING = """
from pathlib import Path
from pulumi import dynamic

class Provider(dynamic.ResourceProvider):
    def create(self, props):
        Path(props["file"]).write_text(props["wanted"])
        return dynamic.CreateResult("id", {**props, "found": props["wanted"]})

    def diff(self, id, olds, news):
        # For the engine only that is drift what a provider calls a difference.
        return dynamic.DiffResult(changes=olds["found"] != news["wanted"])

    def read(self, id, props):
        return dynamic.ReadResult(id, {**props, "found": Path(props["file"]).read_text()})

class Thing(dynamic.Resource, module="test", name="Thing"):
    def __init__(self, name, file, wanted):
        super().__init__(Provider(), name, {"file": file, "wanted": wanted, "found": None})
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
    (tmp_path / "thing.py").write_text(THING)
    found = Stack("test", tmp_path)
    found.ensure()
    command = ["pulumi", "config", "set", "file", str(tmp_path / "value.txt"), "--stack", found.name]
    subprocess.run(command, cwd=tmp_path, env=found.environment, check=True)
    return found


def test_operations_and_drift(stack: Stack) -> None:
    since = dt.datetime.now(dt.UTC)
    stack.up()
    (first,) = recording.record(stack, "mlops up", None, since=since)
    update = first.body["update"]
    assert (update["operation"], update["result"], update["previewed"]) == ("update", "succeeded", False)
    assert update["changes"]["create"] == 2
    assert ("create", "thing") in {(each["operation"], each["name"]) for each in update["steps"]["items"]}
    assert first.body["images"] == {"items": [], "leftOut": 0}

    assert recording.drift(stack, "test", None).body["drift"]["objects"] == 0
    (stack.project / "value.txt").write_text("changed by hand")
    drifted = recording.drift(stack, "test", None).body["drift"]
    assert [each["name"] for each in drifted["open"]["items"]] == ["thing"]
    assert stack.history()[0]["kind"] == "update", "to look for drift is no operation"

    stack.destroy()
    (last,) = recording.record(stack, "mlops down", None)
    assert last.body["update"]["operation"] == "destroy"
    assert verify(FileChain.of("test").entries()) == []
    assert "changed by hand" not in FileChain.of("test").path.read_text()
