"""The stack's own cluster, as the program plans it. What kind does with it is shown in the folder beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components._core import images
from tests.support import plans

FORM = """\
config:
  oss-mlops-platform:components:
    kindCluster: {}
    postgres: {}
"""


@pytest.fixture
def form(tmp_path: Path) -> Path:
    file = tmp_path / "Pulumi.trial.yaml"
    file.write_text(FORM)
    return file


def of_type(resources: list[dict[str, Any]], word: str) -> list[dict[str, Any]]:
    return [found for found in resources if word in found["type"]]


def test_cluster_is_called_after_the_stack(form: Path) -> None:
    (cluster,) = of_type(plans.resources(form), "dynamic/platform:KindCluster")
    assert cluster["name"] == "mlops-trial"


def test_workload_waits_for_its_image(form: Path) -> None:
    resources = plans.resources(form)
    (image,) = of_type(resources, "NodeImage")
    assert image["inputs"]["reference"].startswith(f"{images.LOCAL}/postgres:")
    (workload,) = of_type(resources, "apps/v1:StatefulSet")
    assert any("NodeImage::postgres" in waited for waited in workload["dependsOn"])


def test_node_pulls_what_registries_have(form: Path) -> None:
    assert not of_type(plans.resources(form, source="upstream"), "NodeImage")


def test_objects_of_a_cluster_that_does_not_answer_are_not_forgotten(form: Path) -> None:
    """A refresh reads everything at once: a stopped node would cost the state all objects before it is started."""
    (provider,) = of_type(plans.resources(form), "pulumi:providers:kubernetes")
    assert "deleteUnreachable" not in provider["inputs"]
