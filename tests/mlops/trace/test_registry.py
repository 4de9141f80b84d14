"""A version that a real MLflow has, registered as the pipeline registers one."""

from __future__ import annotations

from pathlib import Path

import pytest
from cabc_platform.trace.collecting import collect
from cabc_platform.trace.judging import judge

from tests.support.trace import REQUEST, Past, log_server, prediction, sources

pytestmark = pytest.mark.backend


def test_every_hop_holds(mlflow: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    url, model = mlflow
    with log_server(prediction(model)) as log:
        found = judge(collect(sources(Past(tmp_path, model), log.url, url), REQUEST, stack="local"))
    assert found.open == [], [hop.plain() for hop in found.open]
    facts = {hop.name: hop.facts for hop in found.hops}
    assert facts["model"]["files"] > 3
    assert facts["run"]["metrics"] == {"auc": 0.81}
    assert facts["run"]["parameters"] == {"seed": "7"}
    (dataset,) = facts["run"]["datasets"]
    assert (dataset["name"], dataset["context"]) == ("rows", "training")


def test_a_version_that_the_registry_does_not_have_is_missing(
    mlflow: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    url, model = mlflow
    with log_server(prediction({**model, "version": "77"})) as log:
        found = judge(collect(sources(Past(tmp_path, model), log.url, url), REQUEST, stack="local"))
    assert {hop.name for hop in found.hops if "missing" in hop.summary} >= {"model", "run"}
