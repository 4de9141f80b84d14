"""KServe comes from its module unchanged but for names, trust and settings, in an order that never asks too early."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components._core import paths
from components._core.config import Resources
from components.kserve import runtime, upstream
from components.kserve.config import UPSTREAM
from components.kserve.settings import controller_settings
from tests.support import plans

SMALL = Resources.model_validate({})


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    found = plans.resources("local")
    return {f"{entry['type'].rpartition(':')[2]} {entry['name']}": entry for entry in found}


def test_hash_is_the_one_the_toolchain_builds_from() -> None:
    lines = (paths.CHECKOUT / "toolchain" / "kserve" / "go.sum").read_text().splitlines()
    assert f"{UPSTREAM.path} {UPSTREAM.version} {UPSTREAM.h1}" in lines


def test_definitions_are_complete_and_small() -> None:
    definitions = upstream.definitions(UPSTREAM)
    assert sorted(manifest["spec"]["names"]["kind"] for manifest in definitions) == [
        "ClusterServingRuntime",
        "ClusterStorageContainer",
        "InferenceGraph",
        "InferenceService",
        "ServingRuntime",
        "TrainedModel",
    ]
    assert len(json.dumps(definitions)) < 16_000


def test_place_sets_the_namespace_where_there_is_one_to_set() -> None:
    binding = {
        "kind": "RoleBinding",
        "metadata": {"name": "a", "creationTimestamp": None},
        "subjects": [{"kind": "ServiceAccount", "name": "b"}],
    }
    placed = upstream.place(binding, "here")
    assert placed["metadata"] == {"name": "a", "namespace": "here"}
    assert placed["subjects"] == [{"kind": "ServiceAccount", "name": "b", "namespace": "here"}]
    assert "namespace" not in binding["metadata"]
    assert "namespace" not in upstream.place({"kind": "ClusterRole", "metadata": {"name": "c"}}, "here")["metadata"]


def test_every_webhook_trusts_our_authority() -> None:
    for manifest in upstream.webhooks(UPSTREAM):
        for webhook in upstream.trust(manifest, "here", "Y2E=")["webhooks"]:
            assert webhook["clientConfig"]["caBundle"] == "Y2E="
            assert webhook["clientConfig"]["service"]["namespace"] == "here"
            assert "$(" not in str(webhook)


def test_settings_have_every_quantity_the_webhook_reads() -> None:
    settings = {
        key: json.loads(text)
        for key, text in controller_settings(
            storage_image="a/b:1", agent_image="c/d:1", storage=SMALL, agent=SMALL
        ).items()
    }
    for part in ("storageInitializer", "logger", "agent", "batcher", "router"):
        assert {"cpuRequest", "cpuLimit", "memoryRequest", "memoryLimit"} <= settings[part].keys()
    assert settings["deploy"]["defaultDeploymentMode"] == "Standard"
    assert settings["deploy"]["deploymentRolloutStrategy"]["defaultRollout"] == {
        "maxSurge": "100%",
        "maxUnavailable": "0%",
    }
    assert settings["ingress"]["disableIngressCreation"] is True


@pytest.mark.parametrize(
    "container",
    [
        runtime.serving_runtime("a/b:1", SMALL)["containers"][0],
        runtime.storage_container("a/b:1", "s3://", SMALL, {})["container"],
    ],
    ids=["server", "initializer"],
)
def test_containers_pass_restricted_by_themselves(container: dict[str, Any]) -> None:
    context = container["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}


def test_a_server_is_told_who_its_model_is_and_where_to_log() -> None:
    environment = {each["name"]: each for each in runtime.serving_runtime("a/b:1", SMALL)["containers"][0]["env"]}
    for name, annotation in {
        "MODEL_NAME": "oss-mlops-platform/model-name",
        "MODEL_VERSION": "oss-mlops-platform/model-version",
        "MODEL_RUN_ID": "oss-mlops-platform/run-id",
        "PREDICTION_LOG_URL": "oss-mlops-platform/prediction-log",
    }.items():
        # Of an annotation that is not there it is empty.
        assert environment[name]["valueFrom"] == {"fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
    assert environment["POD_NAMESPACE"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}


def test_a_server_drains_and_no_autoscaler_is_asked_for() -> None:
    spec = runtime.serving_runtime("a/b:1", SMALL)
    assert spec["containers"][0]["lifecycle"]["preStop"]["httpGet"]["path"] == "/drain"
    assert spec["annotations"]["serving.kserve.io/autoscalerClass"] == "none"


def test_definitions_come_before_the_controller_and_the_controller_before_its_webhooks(
    resources: dict[str, dict[str, Any]],
) -> None:
    deployment = resources["Deployment kserve-controller-manager"]
    assert any("inferenceservices.serving.kserve.io" in urn for urn in deployment["dependsOn"])
    webhooks = [entry for key, entry in resources.items() if "WebhookConfiguration" in key]
    assert len(webhooks) == 6
    for webhook in webhooks:
        assert any(urn.endswith("kserve-controller-manager") for urn in webhook["dependsOn"])
    served = resources["ClusterServingRuntime serving-runtime"]
    assert sum("WebhookConfiguration" in urn for urn in served["dependsOn"]) == 6


def test_the_namespace_of_models_goes_before_the_controller_that_lets_go_of_them(
    resources: dict[str, dict[str, Any]],
) -> None:
    namespace = resources["Namespace models"]
    assert any("serving-runtime" in urn for urn in namespace["dependsOn"])
    assert namespace["inputs"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_credentials_are_secret_and_go_with_the_account(resources: dict[str, dict[str, Any]]) -> None:
    secret = resources["Secret models-store"]["inputs"]
    assert secret["metadata"]["annotations"]["serving.kserve.io/s3-usehttps"] == "0"
    assert "://" not in secret["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"]
    assert set(yaml.safe_load(str(resources["ServiceAccount models"]["inputs"]["secrets"]))[0]) == {"name"}


def test_predictors_are_scraped_by_a_monitor_that_prometheus_picks_up(resources: dict[str, dict[str, Any]]) -> None:
    monitor = resources["PodMonitor monitor-predictors"]["inputs"]
    assert monitor["metadata"]["namespace"] == "models"
    assert monitor["spec"]["selector"]["matchExpressions"] == [
        {"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}
    ]
