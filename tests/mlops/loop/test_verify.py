"""What is served is compared with what is registered, and every difference is named with its object."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mlops.errors import OperationError
from mlops.loop.cluster import Cluster
from mlops.loop.loop import verify
from mlops.loop.outcome import Options, Outcome
from tests.support.loop import FakePlatform
from tests.support.loop_parts import pod


def check(platform: FakePlatform) -> Outcome:
    return verify(cast("Cluster", platform), Options())


def failure(platform: FakePlatform) -> tuple[str, str, str]:
    found = check(platform).failure
    assert found is not None
    return found.stage, found.subject, found.reason


def test_a_consistent_platform_yields_facts_of_every_part() -> None:
    outcome = check(FakePlatform())
    assert outcome.failure is None
    assert (outcome.version, outcome.run_id, outcome.digest) == ("2", "run-2", "sha256:2")
    assert {fact.stage for fact in outcome.facts} == {"register", "deploy", "serving", "monitoring"}
    assert len(outcome.facts) >= 10


def test_evidence_is_json_in_camel_case() -> None:
    plain = check(FakePlatform()).plain()
    assert plain["ok"] is True
    assert plain["runId"] == "run-2"
    assert plain["failure"] is None
    assert {"stage", "name", "found", "wanted", "source"} == plain["facts"][0].keys()
    assert any("up{" in query for query in plain["queries"])


def test_registry_scaled_to_zero() -> None:
    stage, subject, reason = failure(FakePlatform(mlflow_replicas=0))
    assert (stage, reason) == ("register", "does not answer: Deployment mlflow/mlflow is scaled to 0 replicas")
    assert subject == "MLflow http://mlflow.mlflow.svc:5000"


def test_another_version_is_served_than_the_champion() -> None:
    stage, subject, reason = failure(FakePlatform(served=1))
    assert (stage, subject) == ("deploy", "InferenceService models/loan-approval")
    assert reason == "has annotated version 1, model loan-approval version 2 has 2"


def test_another_version_answers_than_is_annotated() -> None:
    stage, subject, reason = failure(FakePlatform(answers=1))
    assert (stage, subject) == ("serving", "InferenceService models/loan-approval")
    assert reason == "answers version 1 (run run-1), expected 2"


def test_a_pod_that_fetched_something_else() -> None:
    platform = FakePlatform()
    platform.objects["/api/v1/namespaces/models/pods"] = [pod("predictor-1", FakePlatform.uri(1))]
    stage, subject, reason = failure(platform)
    assert (stage, subject) == ("deploy", "pod models/predictor-1")
    assert "fetches s3://bucket/artifacts/1/models/m-1/artifacts" in reason


def test_nothing_is_served() -> None:
    assert failure(FakePlatform(served=None)) == ("deploy", "InferenceService models/loan-approval", "does not exist")


def test_kserve_is_not_there() -> None:
    platform = FakePlatform()
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/inferenceservice.serving.kserve.io"
    platform.objects[path] = None
    assert failure(platform)[:2] == ("deploy", "KServe")


def test_an_empty_cluster_is_told_what_to_do() -> None:
    platform = FakePlatform()
    platform.objects["/api/v1/namespaces/pipelines/configmaps/pipeline-job"] = None
    with pytest.raises(OperationError, match="component pipelineJobs is not deployed"):
        check(platform)


@pytest.mark.parametrize("lacking", ["REGISTRY_ARTEFACT_ROOT", "SERVING_NAMESPACE"])
def test_a_platform_without_a_part_is_told_which(lacking: str) -> None:
    platform = FakePlatform()
    config: Any = platform.get("/api/v1/namespaces/pipelines/configmaps/pipeline-job")
    config["data"]["platform.json"] = config["data"]["platform.json"].replace(lacking, "OTHER")
    platform.objects["/api/v1/namespaces/pipelines/configmaps/pipeline-job"] = config
    with pytest.raises(OperationError, match="the platform has no model"):
        check(platform)
