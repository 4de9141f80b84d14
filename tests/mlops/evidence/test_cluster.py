"""Documents in a real API server: immutable, complete, compared with the file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cabc_platform.documents import Document
from typer.testing import CliRunner

from mlops.errors import OperationError
from mlops.evidence import cli, document, reading, recording
from mlops.evidence.keeping import ClusterChain, FileChain
from mlops.loop.cluster import Cluster
from tests.support.apiserver import ApiServer
from tests.support.evidence import Engine, difference, operation

pytestmark = pytest.mark.apiserver

MAPS = "/api/v1/namespaces/infrastructure-evidence/configmaps"


@pytest.fixture
def recorded(engine: Engine, cluster: Cluster) -> Engine:
    """Give a stack of which three operations are recorded."""
    engine.history = [operation(0), operation(10), operation(20)]
    recording.record(engine.write(), "mlops up", cluster)
    return engine


def test_documents_are_in_the_cluster_and_cannot_be_changed(recorded: Engine, cluster: Cluster) -> None:
    del recorded
    found = {each["metadata"]["name"]: each for each in cluster.items(MAPS)}
    assert {"update-1", "update-2", "update-3"} <= set(found)
    kept = found["update-2"]
    assert kept["immutable"] is True
    assert (
        kept["metadata"]["annotations"]["oss-mlops-platform/digest"] == Document(kept["data"]["document.json"]).digest
    )
    with pytest.raises(OperationError, match="immutable"):
        cluster.patch(f"{MAPS}/update-2", {"data": {"document.json": "{}"}})
    assert reading.check("trial", cluster).faults == []


@pytest.mark.parametrize("name", ["update-1", "update-2", "update-3"])
def test_a_document_that_was_removed_is_missed(recorded: Engine, cluster: Cluster, name: str) -> None:
    del recorded
    cluster.delete(f"{MAPS}/{name}")
    assert any(name[-1] in str(fault) for fault in reading.check("trial", cluster).faults)


def test_a_document_that_was_replaced_is_found(recorded: Engine, cluster: Cluster, api_server: ApiServer) -> None:
    del recorded
    kept: Any = cluster.get(f"{MAPS}/update-3")
    cluster.delete(f"{MAPS}/update-3")
    forged = kept["data"]["document.json"].replace('"dirty":true', '"dirty":false')
    metadata = {"name": "update-3", "labels": kept["metadata"]["labels"]}
    api_server.create(MAPS, {"metadata": metadata, "immutable": True, "data": {"document.json": forged}})
    (fault,) = reading.check("trial", cluster).faults
    assert fault.where == "update-3"


def test_a_cluster_that_was_made_anew_gets_the_whole_chain(recorded: Engine, cluster: Cluster) -> None:
    for each in ("update-1", "update-2", "update-3"):
        cluster.delete(f"{MAPS}/{each}")
    recorded.history = [operation(30)]
    recording.record(recorded.write(), "mlops up", cluster)
    assert [entry.number for entry in ClusterChain(cluster).entries()] == [1, 2, 3, 4]


def test_another_machine_goes_on_from_the_cluster(recorded: Engine, cluster: Cluster) -> None:
    FileChain.of("trial").path.unlink()
    recorded.history.append(operation(30))
    (entry,) = recording.record(recorded.write(), "mlops up", cluster)
    assert entry.number == 4
    assert [each.number for each in FileChain.of("trial").entries()] == [1, 2, 3, 4]
    assert reading.check("trial", cluster).faults == []


def test_another_machine_begins_where_the_cluster_does(
    engine: Engine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "KEPT", 3)
    engine.history = [operation(each) for each in range(0, 50, 10)]
    recording.record(engine.write(), "mlops up", cluster)
    assert [entry.number for entry in ClusterChain(cluster).entries()] == [3, 4, 5]
    file = FileChain.of("trial").path
    file.unlink()
    for second in (50, 52, 54):
        engine.history.append(operation(second))
        recording.record(engine.write(), "mlops up", cluster)
        checked = reading.check("trial", cluster)
        assert (checked.faults, checked.begins) == ([], 3)
    assert [entry.number for entry in FileChain.of("trial").entries()] == [3, 4, 5, 6, 7, 8]
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:2], *lines[3:]]))
    assert "5 is missing" in str(reading.check("trial", cluster).faults[0])
    file.write_text("".join(lines[4:]))
    assert "earlier documents are missing" in str(reading.check("trial", None).faults[0])


def test_without_the_component_the_file_alone_is_written(engine: Engine, cluster: Cluster) -> None:
    engine.history = [operation(0)]

    class Bare(Cluster):
        """The same cluster without the namespace."""

        def get(self, path: str, **query: str) -> dict[str, Any] | None:
            return None if path.endswith("/infrastructure-evidence") else super().get(path, **query)

    bare = Bare.__new__(Bare)
    bare.__dict__.update(cluster.__dict__)
    recording.record(engine.write(), "mlops up", bare)
    assert reading.check("trial", bare).in_cluster is None
    assert len(FileChain.of("trial").entries()) == 1


def test_commands(recorded: Engine, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops.engine.Stack", lambda _name: recorded.stack)
    monkeypatch.setattr(recording, "connect", lambda _stack: cluster)
    run = CliRunner().invoke
    assert run(cli.app, ["verify", "--stack", "trial"]).exit_code == 0
    told = json.loads(run(cli.app, ["verify", "--stack", "trial", "--json"]).stdout)
    assert (told["holds"], told["inFile"], told["inCluster"]) == (True, 3, 3)
    shown = json.loads(run(cli.app, ["show", "--stack", "trial", "--at", "2026-11-30T12:00:15Z"]).stdout)
    assert shown["number"] == 2
    assert json.loads(run(cli.app, ["show", "3", "--stack", "trial"]).stdout)["number"] == 3
    assert len(json.loads(run(cli.app, ["show", "--stack", "trial", "--json"]).stdout)) == 3
    assert "update-3" in run(cli.app, ["show", "--stack", "trial"]).stdout
    assert run(cli.app, ["drift", "--stack", "trial"]).exit_code == 0
    recorded.refresh = [difference("mlflow", "delete")]
    recorded.write()
    found = run(cli.app, ["drift", "--stack", "trial"])
    assert found.exit_code == 1
    assert "Deployment mlflow/mlflow is gone" in found.stdout
    cluster.delete(f"{MAPS}/update-2")
    assert run(cli.app, ["verify", "--stack", "trial"]).exit_code == 1
    assert run(cli.app, ["verify", "--stack", "trial", "--offline"]).exit_code == 0
