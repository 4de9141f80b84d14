"""Images on their way into the engine and into nodes."""

from __future__ import annotations

import io

import pytest

from mlops.errors import OperationError
from mlops.images import transfer
from mlops.images.store import Store, Stored
from tests.support.container_engine import PaperEngine, saved_image

NODE = "trial-control-plane"


@pytest.fixture
def image(store: Store) -> Stored:
    return store.add("localhost/oss-mlops-platform/x:1", io.BytesIO(saved_image(b"large" * 100, b"thin")))


@pytest.fixture
def cluster(paper: PaperEngine) -> PaperEngine:
    paper.change(containers={NODE: {"id": "1", "cluster": "trial", "running": True}})
    return paper


def test_image_is_put_into_the_node_once(cluster: PaperEngine, store: Store, image: Stored) -> None:
    assert transfer.into_node(cluster.engine, store, NODE, image)
    assert not transfer.into_node(cluster.engine, store, NODE, image)
    assert len(cluster.calls("exec -i")) == 1
    assert transfer.held_by_node(cluster.engine, NODE) == {image.reference: image.manifest.digest}


def test_only_a_changed_layer_travels(cluster: PaperEngine, store: Store, image: Stored) -> None:
    transfer.into_node(cluster.engine, store, NODE, image)
    before = len(cluster.state["containers"][NODE]["received"])
    changed = store.extend("localhost/oss-mlops-platform/x:2", image, io.BytesIO(b"new code"), {})
    transfer.into_node(cluster.engine, store, NODE, changed)
    sizes = cluster.state["containers"][NODE]["received"][before:]
    assert sizes == [changed.manifest.size, changed.config.size, len(b"new code")]


def test_same_name_with_other_content_is_put_in_again(cluster: PaperEngine, store: Store, image: Stored) -> None:
    node = {"id": "1", "cluster": "trial", "running": True, "images": {image.reference: "sha256:other"}}
    cluster.change(containers={NODE: node})
    assert transfer.into_node(cluster.engine, store, NODE, image)


def test_refusal_of_the_node_is_told(cluster: PaperEngine, store: Store, image: Stored) -> None:
    cluster.change(fail={"exec -i": "ctr: no space left on device"})
    with pytest.raises(OperationError, match=r"x:1: ctr: no space left on device"):
        transfer.into_node(cluster.engine, store, NODE, image)


def test_cluster_that_does_not_run_is_named(paper: PaperEngine) -> None:
    with pytest.raises(OperationError, match="no running kind cluster named 'trial' in podman"):
        transfer.nodes(paper.engine, "trial")


def test_image_is_given_to_the_engine_once(paper: PaperEngine, store: Store, image: Stored) -> None:
    assert transfer.into_engine(paper.engine, store, image)
    assert not transfer.into_engine(paper.engine, store, image)


def test_leftovers_of_our_builds_are_swept_and_others_stay(paper: PaperEngine) -> None:
    paper.change(external={
        "debian-working-container": "localhost/oss-mlops-platform/debian:1",
        "ubuntu-working-container": "docker.io/library/ubuntu:24.04",
        "somebody": "localhost/oss-mlops-platform/debian:1",
    })  # fmt: skip
    paper.change(images={"localhost/oss-mlops-platform/x:building-1": "1", "docker.io/x:building-1": "2"})
    transfer.sweep(paper.engine)
    assert set(paper.state["images"]) == {"docker.io/x:building-1"}
    assert set(paper.state["external"]) == {"ubuntu-working-container", "somebody"}


def test_engine_keeps_images_that_recipes_still_make(paper: PaperEngine) -> None:
    paper.change(images={"localhost/oss-mlops-platform/node:new": "1", "localhost/oss-mlops-platform/node:old": "2"})
    transfer.prune(paper.engine, {"localhost/oss-mlops-platform/node:new"})
    assert set(paper.state["images"]) == {"localhost/oss-mlops-platform/node:new"}
