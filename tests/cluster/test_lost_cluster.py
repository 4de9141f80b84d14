"""A cluster that somebody deleted is noticed, made again by `up`, and no trouble to `down`."""

from __future__ import annotations

import json

import pytest

from components._core import engine as containers
from components.kind_cluster.nodes import Nodes
from mlops import down, toolchain
from tests.support.platform import Platform

pytestmark = [pytest.mark.cluster, pytest.mark.release, pytest.mark.timeout(1800)]

CLUSTER = "mlops-ci"


@pytest.fixture
def nodes() -> Nodes:
    engine = containers.find(toolchain.environment())
    assert engine
    return Nodes(engine)


def test_up_makes_it_again_and_down_does_not_need_it(platform: Platform, nodes: Nodes) -> None:
    nodes.remove(CLUSTER)
    doctor = platform.mlops("doctor", "--stack", "ci", "--json", check=False)
    assert "does not answer" in str(json.loads(doctor.stdout)["checks"])
    assert platform.mlops("status", "--stack", "ci", check=False).returncode == 1
    platform.mlops("up", "--stack", "ci", "--no-loop")
    platform.forget()
    assert json.loads(platform.mlops("status", "--stack", "ci", "--json").stdout)["ready"]
    assert platform.changes() == {}

    nodes.remove(CLUSTER)
    platform.mlops("down", "--stack", "ci")
    assert down.leftovers(CLUSTER, nodes) == []
    platform.mlops("up", "--stack", "ci", "--no-loop")
    platform.forget()
