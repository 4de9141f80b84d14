"""A prediction is traced to the state of its minute, also after the model and the infrastructure have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._core import paths
from mlops.loop.cluster import Cluster
from tests.support.platform import Platform

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

LOG = "http://prediction-log.prediction-log.svc:8080"


def last_request(cluster: Cluster) -> dict[str, Any]:
    """Return the last answered request that the prediction log knows."""
    answered = cluster.ask(LOG, "/v1/requests").json()
    found: dict[str, Any] = next(each for each in answered if each["status"] == 200)
    return found


def traced(platform: Platform, request: str, *options: str) -> dict[str, dict[str, Any]]:
    """Return the hops by name; all of them have to be verified, or to have nothing to tell."""
    done = platform.mlops("trace", request, "--stack", platform.stack, "--json", *options)
    trace = json.loads(done.stdout)
    assert trace["verified"]
    assert {hop["state"] for hop in trace["hops"]} <= {"verified", "none"}
    return {hop["name"]: hop for hop in trace["hops"]}


def of_then(hop: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return a hop's digest and facts, but for what grows: the chain of documents, and what is kept with a run."""
    digest = None if hop["name"] == "run" else hop["digest"]
    return digest, {name: fact for name, fact in hop["facts"].items() if name != "chain"}


def apply_change(platform: Platform, folder: Path) -> None:
    """Change the infrastructure as somebody does with an order form of their own, and write it down."""
    form = yaml.safe_load((paths.CHECKOUT / "stacks" / f"Pulumi.{platform.stack}.yaml").read_text())
    components = form["config"]["oss-mlops-platform:components"]
    components["modelMonitor"] = {**components["modelMonitor"], "intervalSeconds": 50}
    file = folder / "Pulumi.changed.yaml"
    file.write_text(yaml.safe_dump(form))
    platform.pulumi("up", "--yes", "--skip-preview", "--config-file", str(file))
    platform.mlops("evidence", "record", "--stack", platform.stack)


def test_a_prediction_is_traced_to_the_state_of_then(platform: Platform, cluster: Cluster, tmp_path: Path) -> None:
    assert platform.loop()["exitCode"] == 0
    request = last_request(cluster)["request_id"]
    then = traced(platform, request)
    try:
        apply_change(platform, tmp_path)
        assert platform.loop()["exitCode"] == 0
        export = tmp_path / "decision.zip"
        later = traced(platform, request, "--export", str(export))
        now = traced(platform, last_request(cluster)["request_id"])
    finally:
        platform.pulumi("up", "--yes", "--skip-preview")
    # What was in force then is told, not what is in force now; a label that came since is the only news.
    for hop in ("prediction", "model", "image", "run", "status", "infrastructure"):
        assert of_then(later[hop]) == of_then(then[hop]), hop
    assert int(now["model"]["facts"]["version"]) == int(later["model"]["facts"]["version"]) + 1
    assert of_then(now["infrastructure"]) != of_then(later["infrastructure"])
    assert now["run"]["facts"] != later["run"]["facts"]
    assert now["status"]["facts"]["assessment"] != later["status"]["facts"]["assessment"]
    assert platform.mlops("trace", "--verify", str(export)).returncode == 0
    assert platform.loop("--verify-only")["exitCode"] == 0
