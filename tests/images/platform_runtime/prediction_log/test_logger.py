"""A deployed model is logged where there is a log, and KServe knows every field of that."""

from __future__ import annotations

from platform_runtime.deployment import Version, inference_service

from components.kserve import runtime

VERSION = Version(name="loan", version="3", run_id="r1", digest="sha256:d", uri="s3://bucket/m")


def predictor(**others: str) -> dict[str, object]:
    found = inference_service("loan", "models", VERSION, runtime="mlflow", account="models", **others)
    predictor: dict[str, object] = found["spec"]["predictor"]
    return predictor


def test_requests_and_answers_go_to_the_log_with_the_annotations_of_the_version() -> None:
    logged = predictor(log_url="http://log:8080")
    logger = logged["logger"]
    assert isinstance(logger, dict)
    assert (logger["mode"], logger["url"]) == ("all", "http://log:8080")
    manifest = inference_service("loan", "models", VERSION, runtime="mlflow", account="models", log_url="http://log")
    assert set(logger["metadataAnnotations"]) <= manifest["metadata"]["annotations"].keys()
    assert set(runtime.ANNOTATIONS.values()) <= set(logger["metadataAnnotations"])
    # The logger would wait half a minute for quiet, and every rollout with it.
    assert logged["terminationGracePeriodSeconds"] == 15


def test_without_a_log_nothing_stands_before_the_model() -> None:
    assert not {"logger", "terminationGracePeriodSeconds"} & predictor().keys()
