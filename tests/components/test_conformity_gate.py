"""The gate as the program plans it: what it may do, what it is told, what nobody else can read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components._core import paths
from tests.support.plans import Plan, planned

FORM = {
    "postgres": {},
    "objectStore": {},
    "mlflow": {},
    "kserve": {},
    "cabcAuditor": {},
    "conformityGate": {"mode": "enforce", "hold": 300},
}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


@pytest.fixture(scope="module")
def pod(resources: Plan) -> dict[str, Any]:
    found: dict[str, Any] = resources.of("Deployment", "conformity-gate")["inputs"]["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def variables(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def test_it_is_told_where_everything_is_and_what_to_decide_by(variables: dict[str, Any]) -> None:
    assert variables["MLFLOW_TRACKING_URI"] == "http://mlflow.mlflow.svc.cluster.local:5000"
    assert variables["REGISTRY_ARTEFACT_ROOT"] == "s3://mlflow/artifacts"
    assert variables["SERVING_NAMESPACE"] == "models"
    assert variables["AUDITOR_URL"].startswith("http://cabc-auditor")
    assert variables["AUDITOR_HOOK_URL"].endswith("/hooks/platform")
    assert {name: value for name, value in variables.items() if name.startswith("GATE_")} == {
        "GATE_MODE": "enforce",
        "GATE_ALLOW_CONDITIONAL": "true",
        "GATE_INTERVAL_SECONDS": "10",
        "GATE_HOLD_SECONDS": "300",
        "GATE_WITHOUT_ALLOWED": "keep",
    }


def test_the_program_reads_every_variable_and_no_other(
    variables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(paths.CHECKOUT / "images" / "python")
    import platform_runtime.conformity_gate.settings as program

    read: set[str] = set()

    class Environment(dict[str, str]):
        def get(self, key: str, default: Any = None) -> Any:
            read.add(key)
            return super().get(key, default)

    told = {name: value if isinstance(value, str) else "secret" for name, value in variables.items()}
    settings = program.Settings.of(Environment(told))
    assert settings.policy.mode == "enforce"
    assert set(variables) - read == {"HOME"}


def test_tokens_come_from_a_secret(resources: Plan, variables: dict[str, Any]) -> None:
    assert variables["AUDITOR_TOKEN"]["secretKeyRef"]["key"] == "token"
    assert variables["AUDITOR_HOOK_SECRET"]["secretKeyRef"]["key"] == "hook-secret"
    assert resources.of("Secret", "conformity-gate-auditor")["inputs"]["stringData"] == "[secret]"


def test_it_may_change_inference_services_and_tell_of_it_and_nothing_else(resources: Plan) -> None:
    role = resources.of("Role", "conformity-gate-serving")["inputs"]
    assert role["metadata"]["namespace"] == "models"
    assert [(rule["apiGroups"], rule["resources"], rule["verbs"]) for rule in role["rules"]] == [
        (["serving.kserve.io"], ["inferenceservices"], ["get", "patch"]),
        ([""], ["pods"], ["list"]),
        ([""], ["events"], ["create"]),
    ]
    (subject,) = resources.of("RoleBinding", "conformity-gate-serving")["inputs"]["subjects"]
    assert (subject["name"], subject["namespace"]) == ("conformity-gate", "conformity-gate")
    assert not [found for found in resources.all("ClusterRoleBinding") if "conformity-gate" in found["name"]]


def test_one_runs_at_a_time(resources: Plan, pod: dict[str, Any]) -> None:
    spec = resources.of("Deployment", "conformity-gate")["inputs"]["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["serviceAccountName"] == "conformity-gate"


def test_it_starts_when_the_account_may_do_its_work(resources: Plan) -> None:
    assert {"conformity-gate", "conformity-gate-serving"} <= resources.waits(
        resources.of("Deployment", "conformity-gate")
    )


def test_it_is_scraped_and_its_rules_are_evaluated_where_there_is_a_prometheus(
    tmp_path_factory: pytest.TempPathFactory, resources: Plan
) -> None:
    assert not resources.all("ServiceMonitor")
    assert not resources.all("PrometheusRule")
    watched = planned(tmp_path_factory.mktemp("form"), {**FORM, "prometheus": {}})
    monitor = watched.of("ServiceMonitor", "conformity-gate-monitor")["inputs"]
    assert monitor["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": "conformity-gate"}
    rules = watched.of("PrometheusRule", "conformity-gate-rules")["inputs"]["spec"]["groups"]
    assert [group["name"] for group in rules] == ["gate", "models"]


@pytest.mark.parametrize("mode", ["report", "enforce"])
def test_pipelines_are_told_whether_they_may_make_champions(
    tmp_path_factory: pytest.TempPathFactory, mode: str
) -> None:
    form = {**FORM, "conformityGate": {"mode": mode}, "pipelineJobs": {}}
    template = planned(tmp_path_factory.mktemp("form"), form).of("ConfigMap", "pipeline-job")["inputs"]["data"]
    assert json.loads(template["platform.json"])["CONFORMITY_GATE"] == mode
