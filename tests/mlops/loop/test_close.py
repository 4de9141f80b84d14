"""The whole loop on a platform in memory: facts when it closes, stage and reason where it does not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mlops.loop.cluster import Cluster
from mlops.loop.loop import close
from mlops.loop.outcome import Options, Outcome
from tests.support.loop import FakePlatform
from tests.support.running import Running


def run(platform: FakePlatform, **options: Any) -> Outcome:
    return close(cast("Cluster", platform), Options(**options))


def failure(platform: FakePlatform, **options: Any) -> tuple[str, str]:
    found = run(platform, **options).failure
    assert found is not None
    return found.stage, str(found)


@pytest.mark.filterwarnings("ignore")
class TestClose:
    """kfp compiles the sample in each of them; its warnings are not ours to mend."""

    def test_a_rollout_closes_with_facts_of_every_stage(self) -> None:
        outcome = run(Running())
        assert outcome.failure is None
        assert outcome.version == "3"
        assert [stage.name for stage in outcome.stages] == [
            "platform",
            "data",
            "validate",
            "train",
            "evaluate",
            "register",
            "deploy",
            "rollout",
            "predict-v1",
            "predict-v2",
            "monitoring",
            "log",
            "watch",
            "audit",
            "gate",
            "serving",
        ]
        left_out = {stage.name: stage.summary for stage in outcome.stages if stage.summary.startswith("no ")}
        assert left_out == {
            "log": "no prediction log in this stack",
            "watch": "no model monitor in this stack",
            "audit": "no auditor in this stack",
            "gate": "no conformity gate in this stack",
        }
        found = {fact.name: fact.found for fact in outcome.facts}
        assert len(outcome.facts) >= 40
        assert found["run id"] == "run-3"
        assert found["failed requests"] == 0
        assert found["v1 predictions counted"] == 1

    def test_the_first_version_has_nothing_to_roll_over(self) -> None:
        outcome = run(Running(registered=[], champion=0, served=None))
        assert outcome.failure is None
        assert outcome.version == "1"
        assert "nothing was served before" in {stage.summary for stage in outcome.stages}

    def test_a_model_below_the_gate_is_not_registered(self) -> None:
        platform = Running()
        platform.passes = False
        stage, text = failure(platform, gate=0.99)
        assert stage == "evaluate"
        assert "misses the gate: accuracy 0.9000, AUC 0.8500" in text
        assert "AUC ≥ 0.99; the model was not registered" in text
        assert platform.registered == [1, 2]

    def test_a_failing_step_gives_its_name_to_the_stage(self) -> None:
        platform = Running()
        platform.fails = "validate"
        stage, text = failure(platform)
        assert stage == "validate"
        assert "failed: SchemaError: hrat" in text

    def test_one_failed_request_of_a_rollout_is_too_many(self) -> None:
        platform = Running()
        platform.failures = 1
        stage, text = failure(platform)
        assert stage == "rollout"
        assert "failed 1 times in 101 requests" in text

    def test_rows_that_differ_inside_the_cluster(self) -> None:
        platform = Running()
        platform.equal = 497
        assert failure(platform)[0] == "predict-v1"

    def test_what_was_pointed_elsewhere_by_hand_is_not_replaced_silently(self) -> None:
        platform = Running()
        service: Any = platform.get("/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/loan-approval")
        service["spec"]["predictor"]["model"]["storageUri"] = "s3://bucket/elsewhere"
        platform.objects["/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/loan-approval"] = service
        stage, text = failure(platform)
        assert stage == "deploy"
        assert "has storage URI s3://bucket/elsewhere" in text
        assert not hasattr(platform, "run")

    def test_a_model_is_removed_when_it_is_not_to_be_kept(self) -> None:
        platform = Running()
        run(platform, keep=False)
        assert [path for path in platform.deleted if path.endswith("/inferenceservices/loan-approval")]
