"""A run's Job is hardened, bounded, and finds the rest of the platform."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components.pipeline_jobs.config import PipelineJobsConfig
from components.pipeline_jobs.job import RUN, camel_keys, job
from tests.support import plans


@pytest.fixture(scope="module")
def data() -> dict[str, str]:
    found = plans.resources("local")
    (template,) = [entry for entry in found if entry["name"] == "pipeline-job"]
    texts: dict[str, str] = template["inputs"]["data"]
    return texts


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return job(
        PipelineJobsConfig(),
        image="a/b:1",
        service_account="pipelines",
        environment={"A": "1"},
        secret="store-1",  # noqa: S106 (the name of one)
    )


def test_pod_passes_restricted_and_is_bounded(manifest: dict[str, Any]) -> None:
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["restartPolicy"] == "Never"
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["activeDeadlineSeconds"] == 3600


def test_a_run_is_named_in_one_place(manifest: dict[str, Any]) -> None:
    text = yaml.safe_dump(manifest)
    mine = yaml.safe_load(text.replace(RUN, "mine"))
    assert mine["metadata"]["name"] == "mine"
    assert {"name": "pipeline", "configMap": {"name": "mine"}} in mine["spec"]["template"]["spec"]["volumes"]
    assert "${" not in str(mine)


def test_credentials_come_from_a_secret_only(data: dict[str, str]) -> None:
    container = yaml.safe_load(data["job.yaml"])["spec"]["template"]["spec"]["containers"][0]
    names = {variable["name"] for variable in container["env"]}
    assert "AWS_SECRET_ACCESS_KEY" not in names
    assert container["envFrom"][0]["secretRef"]["name"]


def test_steps_and_the_loop_find_the_platform(data: dict[str, str]) -> None:
    places = json.loads(data["platform.json"])
    assert places["MLFLOW_TRACKING_URI"].startswith("http://mlflow.")
    assert places["SERVING_NAMESPACE"] == "models"
    assert places["SERVING_RUNTIME"] == "mlflow"
    assert places["REGISTRY_ARTEFACT_ROOT"].startswith("s3://")
    assert places["PROMETHEUS_URL"].startswith("http://")
    container = yaml.safe_load(data["job.yaml"])["spec"]["template"]["spec"]["containers"][0]
    told = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert places.items() <= told.items()
    assert data["image"] == container["image"]


def test_camel_keys_leaves_names_that_people_chose() -> None:
    given = {"run_as_user": 1, "labels": {"app.kubernetes.io/name": "a_b"}, "env": [{"name": "A_B", "value_from": {}}]}
    assert camel_keys(given) == {
        "runAsUser": 1,
        "labels": {"app.kubernetes.io/name": "a_b"},
        "env": [{"name": "A_B", "valueFrom": {}}],
    }
