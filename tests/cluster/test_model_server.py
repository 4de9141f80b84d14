"""The model server's own code, checked in the image that runs it, and a model served straight from the registry."""

from __future__ import annotations

import json

import pytest

from components._core import paths
from tests.support.platform import Platform, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def served(platform: Platform) -> str:
    """Have one version served."""
    return str(platform.loop()["version"])


def test_code_of_the_image_does_what_it_says(platform: Platform) -> None:
    checks = (paths.CHECKOUT / "tests" / "support" / "runtime_checks.py").read_text()
    command = ("exec", "-n", "models", "deploy/loan-approval-predictor", "-c", "kserve-container", "--")
    said = platform.kubectl(*command, "python", "-c", checks, timeout=180).stdout
    assert said.strip().endswith("checks passed")


def test_a_model_is_served_straight_from_the_registry(platform: Platform, served: str) -> None:
    manifest = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "by-hand", "namespace": "models"},
        "spec": {
            "predictor": {
                "model": {"modelFormat": {"name": "mlflow"}, "storageUri": f"mlflow://loan-approval/{served}"}
            }
        },
    }
    file = paths.state("test-by-hand.json")
    file.write_text(json.dumps(manifest))
    try:
        platform.kubectl("apply", "-f", str(file))
        platform.kubectl("wait", "inferenceservice/by-hand", "-n", "models", "--for=condition=Ready", "--timeout=110s")
        said = platform.kubectl("logs", "-n", "models", "deploy/by-hand-predictor", "-c", "kserve-container").stderr
        said += platform.kubectl("logs", "-n", "models", "deploy/by-hand-predictor", "-c", "kserve-container").stdout
        assert f"version='{served}'" in said
        assert not platform.kubectl_json("get", "hpa", "-n", "models")["items"]
    finally:
        platform.kubectl("delete", "inferenceservice", "by-hand", "-n", "models", "--ignore-not-found")
        file.unlink()


def test_serving_restarts_while_the_registry_is_down(platform: Platform) -> None:
    platform.kubectl("scale", "deployment/mlflow", "-n", "mlflow", "--replicas=0")
    try:
        platform.kubectl("delete", "pod", "-n", "models", "-l", "serving.kserve.io/inferenceservice=loan-approval")
        platform.kubectl("rollout", "status", "deploy/loan-approval-predictor", "-n", "models", "--timeout=110s")
    finally:
        platform.kubectl("scale", "deployment/mlflow", "-n", "mlflow", "--replicas=1")
        platform.kubectl("rollout", "status", "deployment/mlflow", "-n", "mlflow", "--timeout=110s")
    wait_for(lambda: platform.loop("--verify-only", check=False)["exitCode"] == 0, seconds=120, what="all of it again")
