"""A cluster somebody else runs: reached by the context that was named, nothing is created in it for images."""

from __future__ import annotations

from pathlib import Path

import pytest

from components._core import order_form
from tests.support import plans

FORM = """\
config:
  oss-mlops-platform:components:
    existingCluster:
      context: team-a
      kubeconfig: /somewhere/config
      storageClass: fast
    postgres: {}
"""


@pytest.fixture
def resources(tmp_path: Path) -> list[dict[str, object]]:
    form = tmp_path / "Pulumi.team.yaml"
    form.write_text(FORM)
    return plans.resources(form)


def test_provider_goes_to_the_named_context(resources: list[dict[str, object]]) -> None:
    (provider,) = [found["inputs"] for found in resources if found["type"] == "pulumi:providers:kubernetes"]
    assert provider == {"kubeconfig": "/somewhere/config", "context": "team-a", "clusterIdentifier": "team-a"}


def test_nodes_pull_images_for_themselves(resources: list[dict[str, object]]) -> None:
    assert not [found for found in resources if "NodeImage" in str(found["type"])]


def test_volumes_ask_for_the_named_class(resources: list[dict[str, object]]) -> None:
    assert "'storageClassName': 'fast'" in str(resources)


def test_context_is_required() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        order_form.parse({"components": {"existingCluster": {}}})
    assert "components.existingCluster.context: found nothing" in str(caught.value.exceptions[0])
