"""What the engine of Pulumi asks of the two resources."""

from __future__ import annotations

from typing import Any

import pytest
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime import rpc

from components.kind_cluster.kind import KindClusterProvider, Marker, NodeImageProvider
from tests.support.container_engine import PaperEngine

NODE = "trial-control-plane"
INPUTS = {"cluster_name": "trial", "node_image": "docker.io/kindest/node:v1"}
REFERENCE = "localhost/oss-mlops-platform/postgres:1"


@pytest.fixture
def made(paper: PaperEngine) -> dict[str, Any]:
    assert paper.state["containers"] == {}
    created = KindClusterProvider().create(INPUTS)
    assert created.id == "trial"
    return created.outs or {}


def change_node(paper: PaperEngine, **values: object) -> None:
    containers = paper.state["containers"]
    containers[NODE].update(values)
    paper.change(containers=containers)


@pytest.mark.usefixtures("paper")
def test_unchanged_cluster_has_no_diff(made: dict[str, Any]) -> None:
    assert KindClusterProvider().diff("trial", made, INPUTS).changes is False


@pytest.mark.usefixtures("paper")
@pytest.mark.parametrize("key", ["cluster_name", "node_image"])
def test_other_name_or_image_is_another_cluster(made: dict[str, Any], key: str) -> None:
    found = KindClusterProvider().diff("trial", made, {**INPUTS, key: "other"})
    assert (found.changes, found.replaces, found.delete_before_replace) == (True, [key], True)


def test_deleted_cluster_is_seen_by_a_plan_and_by_a_refresh(made: dict[str, Any], paper: PaperEngine) -> None:
    paper.change(containers={}, volumes={})
    assert KindClusterProvider().diff("trial", made, INPUTS).replaces == ["cluster_name"]
    read = KindClusterProvider().read("trial", made)
    assert (read.id, read.outs) == ("", {})


def test_another_cluster_of_the_same_name_is_not_ours(made: dict[str, Any], paper: PaperEngine) -> None:
    change_node(paper, id="theirs")
    assert KindClusterProvider().read("trial", made).id == ""
    KindClusterProvider().delete("trial", made)
    assert NODE in paper.state["containers"]


def test_stopped_cluster_is_started_by_up(made: dict[str, Any], paper: PaperEngine) -> None:
    change_node(paper, running=False)
    found = KindClusterProvider().diff("trial", made, INPUTS)
    assert found.changes
    assert not found.replaces
    updated = KindClusterProvider().update("trial", made, INPUTS)
    assert updated.outs == made
    assert paper.state["containers"][NODE]["running"]


def test_stopped_cluster_is_started_by_a_refresh(made: dict[str, Any], paper: PaperEngine) -> None:
    change_node(paper, running=False)
    assert KindClusterProvider().read("trial", made).id == "trial"
    assert paper.state["containers"][NODE]["running"]


@pytest.mark.usefixtures("paper")
def test_refresh_shows_that_the_state_has_the_cluster(made: dict[str, Any]) -> None:
    KindClusterProvider().read("trial", made)
    marker = Marker.read("trial")
    assert marker
    assert marker.recorded


def test_image_is_read_where_it_is(made: dict[str, Any], paper: PaperEngine) -> None:
    image = {"cluster_name": "trial", "container": made["container"], "reference": REFERENCE}
    assert NodeImageProvider().read("x", image).id == ""
    change_node(paper, images={REFERENCE: "sha256:1"})
    assert NodeImageProvider().read("x", image).id == "x"
    change_node(paper, running=False)
    assert NodeImageProvider().read("x", image).id == "x"
    paper.change(containers={}, volumes={})
    assert NodeImageProvider().read("x", image).id == ""


@pytest.mark.parametrize("change", [{"reference": "other"}, {"container": "id-2"}, {"container": rpc.UNKNOWN}])
def test_image_goes_into_every_new_node(change: dict[str, str]) -> None:
    image = {"cluster_name": "trial", "container": "id-1", "reference": REFERENCE}
    found = NodeImageProvider().diff("x", image, {**image, **change})
    assert (found.changes, found.replaces) == (True, list(change))
    assert NodeImageProvider().diff("x", image, image).changes is False


@pytest.mark.parametrize("provider", [KindClusterProvider, NodeImageProvider])
def test_state_holds_a_provider_by_its_name(provider: type) -> None:
    assert len(serialize_provider(provider())) < 200
