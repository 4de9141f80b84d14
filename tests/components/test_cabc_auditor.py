"""The auditor as the program plans it; `test_cabc_auditor_running.py` runs what is planned."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pydantic
import pytest
from cabc.document.source import read
from cabc.home import Settings
from cabc.interfaces.connections import load_connections
from cabc.record.keys import Keys
from cabc_platform.predictions import pages

from components.cabc_auditor import settings
from components.cabc_auditor.config import CabcAuditorConfig
from components.cabc_auditor.keys import make_key
from components.cabc_auditor.objects import NAME, PARTS, REGISTRY_HOOK, job_name
from tests.support.auditor_plans import FORM, READER, named, pod, secret_items, verifying
from tests.support.plans import Plan, planned


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), {**FORM, "cabcAuditor": {"processes": "one"}})


def test_each_part_has_an_account_a_secret_and_a_key_of_its_own(resources: Plan) -> None:
    seen = {}
    for part in PARTS["three"]:
        spec = pod(resources, part.name)
        assert spec["containers"][0]["command"] == ["cabc", "serve", f"--role={part.role}"]
        assert spec["serviceAccountName"] == part.name
        seen[part.role] = secret_items(spec)
    assert {name for name, _ in seen.values()} == {NAME, f"{NAME}-collect", f"{NAME}-publish"}
    keys = {role: {key for key in found if key.endswith(".key")} for role, (_, found) in seen.items()}
    assert keys == {role: {f"{role}.key"} for role in ("collect", "assess", "publish")}


def test_only_the_collector_has_credentials_of_others_and_speaks_to_the_cluster(resources: Plan) -> None:
    for part in PARTS["three"]:
        spec = pod(resources, part.name)
        assert spec["automountServiceAccountToken"] is (part.role == "collect")
        outside = {"predictions", "hook-registry", "hook-platform", "hook-alerts"}
        assert (secret_items(spec)[1] & outside) == (outside if part.role == "collect" else set())
    (binding,) = (each["inputs"] for each in resources.all("RoleBinding") if "cabc" in each["name"])
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": f"{NAME}-collect", "namespace": "cabc-auditor"}]


def granted(plan: Plan) -> dict[str, dict[str, set[str]]]:
    """Return the auditor's rights: verbs by resource and namespace."""
    roles = [each["inputs"] for each in plan.all("Role") if "cabc" in each["name"]]
    return {
        role["metadata"]["namespace"]: {
            name: set(rule["verbs"]) for rule in role["rules"] for name in rule["resources"]
        }
        for role in roles
    }


def test_collector_reads_and_watches_the_namespaces_of_models_alone(tmp_path: Path, resources: Plan) -> None:
    rights = {
        "inferenceservices": {"get", "list", "watch"},
        "servingruntimes": {"get"},
        "deployments": {"get"},
        "networkpolicies": {"get"},
    }
    assert granted(resources) == {"models": rights}
    more = planned(tmp_path, {**FORM, "cabcAuditor": {"namespaces": ["credit", "models"]}})
    assert granted(more) == {"models": rights, "credit": rights}
    for plan, namespaces in ((resources, ["models"]), (more, ["models", "credit"])):
        assert not [each for each in plan.all("ClusterRole") + plan.all("ClusterRoleBinding") if "cabc" in each["name"]]
        data = named(plan, "ConfigMap", NAME)["data"]
        assert json.loads(data["cabc.yaml"])["service"]["watchInferenceServices"] == namespaces
        assert json.loads(data["connections.yaml"])["connections"]["kubernetes"]["namespaces"] == namespaces


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), {**FORM, "predictionLog": {}, "infrastructureEvidence": {}})


def told_pages(plan: Plan) -> Any:
    return json.loads(named(plan, "ConfigMap", NAME)["data"]["cabc.yaml"])["service"].get("pages")


def test_pages_of_predictions_are_there_where_predictions_are_logged(logged: Plan, resources: Plan) -> None:
    told = told_pages(logged)
    assert told_pages(resources) is None
    assert told == {
        "predictions": {"predictionLog": "collector", "registry": "mlflow", "infrastructure": "infrastructure"}
    }
    found = json.loads(named(logged, "ConfigMap", NAME)["data"]["connections.yaml"])["connections"]
    assert found.keys() >= set(told["predictions"].values())
    understood = pages.Settings.model_validate_json(json.dumps(told["predictions"]))
    assert understood.prediction_log == "collector"


def test_pages_ask_what_the_order_form_has() -> None:
    assert settings.pages({"mlflow": "http://mlflow"}) == {}
    assert "registry" not in settings.pages({"collector": "http://log"})["predictions"]


def test_the_process_with_the_pages_may_read_evidence_and_nothing_else(logged: Plan) -> None:
    speaking = {part.role: pod(logged, part.name)["automountServiceAccountToken"] for part in PARTS["three"]}
    assert speaking == {"collect": True, "assess": True, "publish": False}
    outside = {"predictions", "hook-registry", "hook-platform", "hook-alerts"}
    assert not secret_items(pod(logged, NAME))[1] & outside
    mine = [
        each["inputs"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for each in logged.all(kind)
        if {"system:serviceaccounts:cabc-auditor", NAME} & {subject["name"] for subject in each["inputs"]["subjects"]}
    ]
    (binding,) = mine
    role = named(logged, "Role", binding["roleRef"]["name"])
    assert binding["metadata"]["namespace"] == role["metadata"]["namespace"] == "infrastructure-evidence"
    assert role["rules"] == [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]


def test_nobody_but_the_job_that_migrates_has_the_owners_password(resources: Plan) -> None:
    using = [name for name, spec in resources.pods() if f"{NAME}-owner" in json.dumps(spec)]
    assert using == [f"{NAME}-migrate"]
    for deployment in resources.all("Deployment"):
        if "cabc" in deployment["name"]:
            assert f"{NAME}-migrate" in resources.waits(deployment)


def test_a_job_is_another_one_when_what_it_is_made_of_changes(resources: Plan) -> None:
    """Its image and addresses, its script, the credentials that it gives or uses."""
    users = {f"cabc_{user}": f"[postgres-cabc-{user}.value]" for user in ("assess", "collect", "publish", "read")}
    address = "postgresql+psycopg://cabc:%5Bpostgres-cabc.value%5D@postgres.postgres.svc.cluster.local:5432/cabc"
    made_of = {
        "migrate": ("", {"owner": address, "users": users}),
        "subscribe": (REGISTRY_HOOK.read_text(), {"hook": "[cabc-auditor-hook-registry.value]"}),
    }
    for name, (script, used) in made_of.items():
        job = resources.of("Job", f"{NAME}-{name}")["inputs"]
        made = {"spec": job["spec"], "script": script}
        assert job["metadata"]["name"] == job_name(name, made, used)
        others = [({**made, "spec": {}}, used), ({**made, "script": "pass"}, used), (made, {**used, "owner": "other"})]
        assert len({job_name(name, *each) for each in [(made, used), *others]}) == 4


def test_registry_is_told_another_address_of_the_collector(resources: Plan, single: Plan) -> None:
    jobs = [plan.of("Job", f"{NAME}-subscribe")["inputs"] for plan in (resources, single)]
    assert len({job["metadata"]["name"] for job in jobs}) == 2


def test_nothing_secret_is_in_a_config_map_or_a_variable(resources: Plan) -> None:
    made = {each["name"]: each["inputs"] for each in resources.all("Secret") if each["name"].startswith(NAME)}
    assert {"cabc-auditor-owner-secret", "cabc-auditor-tokens-secret", "cabc-auditor-scrape"} <= made.keys()
    assert all(content["stringData"] == "[secret]" for content in made.values())
    for kind in ("ConfigMap", "Deployment", "Job", "CronJob", "PodMonitor", "AlertmanagerConfig"):
        for each in resources.all(kind):
            assert not re.search(r"\[(cabc-auditor|postgres)-[a-z-]+\.(value|private)\]", json.dumps(each["inputs"]))


def test_all_that_mount_the_volume_are_on_one_node(resources: Plan) -> None:
    templates = [named(resources, "Deployment", part.name)["spec"]["template"] for part in PARTS["three"]]
    templates.append(named(resources, "CronJob", f"{NAME}-verify")["spec"]["jobTemplate"]["spec"]["template"])
    for template in templates:
        (term,) = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert term["topologyKey"] == "kubernetes.io/hostname"
        claims = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in template["spec"]["volumes"]]
        assert f"{NAME}-data" in claims


def test_services_select_one_part_each(resources: Plan) -> None:
    for part in PARTS["three"]:
        selector = named(resources, "Service", part.name)["spec"]["selector"]
        templates = [each["inputs"]["spec"]["template"] for each in resources.all("Deployment")]
        chosen = [each for each in templates if selector.items() <= each["metadata"]["labels"].items()]
        assert [each["spec"]["serviceAccountName"] for each in chosen] == [part.name]


def test_verification_may_only_read(resources: Plan) -> None:
    spec = verifying(resources)
    assert secret_items(spec) == (f"{NAME}-read", {"database"})
    assert spec["automountServiceAccountToken"] is False
    (data,) = (volume for volume in spec["volumes"] if volume["name"] == "data")
    assert data["persistentVolumeClaim"]["readOnly"] is True


def test_processes_are_read_with_a_token_from_beside_prometheus(resources: Plan) -> None:
    monitor = named(resources, "PodMonitor", NAME)
    assert monitor["metadata"]["namespace"] == "prometheus"
    assert monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "oss-mlops-platform"
    credentials = monitor["spec"]["podMetricsEndpoints"][0]["authorization"]["credentials"]
    assert named(resources, "Secret", credentials["name"])["metadata"]["namespace"] == "prometheus"
    selector = monitor["spec"]["selector"]["matchLabels"]
    for part in PARTS["three"]:
        labels = named(resources, "Deployment", part.name)["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
    migrate = resources.of("Job", f"{NAME}-migrate")["inputs"]["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= migrate.items()


def test_alerts_about_models_are_posted_to_the_collector(resources: Plan) -> None:
    route = resources.of("AlertmanagerConfig", f"{NAME}-receiver")["inputs"]["spec"]["route"]
    assert {"name": "owner", "matchType": "=~", "value": "models"} in route["matchers"]


def test_registry_is_subscribed_when_the_collector_answers(resources: Plan) -> None:
    job = resources.of("Job", f"{NAME}-subscribe")
    assert f"{NAME}-deployment-collect" in resources.waits(job)
    (program,) = job["inputs"]["spec"]["template"]["spec"]["containers"]
    variables = {entry["name"]: entry.get("value") or entry["valueFrom"] for entry in program["env"]}
    assert variables["HOOK"] == "http://cabc-auditor-collect.cabc-auditor.svc.cluster.local:8080/hooks/registry"
    assert variables["HOOK_SECRET"] == {"secretKeyRef": {"name": f"{NAME}-collect", "key": "hook-registry"}}


def test_one_process_does_all(single: Plan) -> None:
    (deployment,) = (each["inputs"] for each in single.all("Deployment") if "cabc" in each["name"])
    spec = deployment["spec"]["template"]["spec"]
    assert spec["containers"][0]["command"][-1] == "--role=all"
    assert {"collect.key", "assess.key", "publish.key", "hook-alerts"} <= secret_items(spec)[1]
    assert spec["automountServiceAccountToken"] is True


def test_without_the_rest_of_the_platform_it_runs_all_the_same(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"postgres": {}, "cabcAuditor": {}})
    assert not plan.all("PodMonitor")
    assert not plan.all("Role")
    data = named(plan, "ConfigMap", NAME)["data"]
    assert set(json.loads(data["connections.yaml"])["connections"]) == {"docs", "infrastructure"}
    assert json.loads(data["cabc.yaml"])["service"]["watchInferenceServices"] == []


def test_auditor_understands_its_settings(resources: Plan) -> None:
    text = named(resources, "ConfigMap", NAME)["data"]["cabc.yaml"]
    found = read(Settings, text.encode(), "cabc.yaml")
    assert found.documents == ["/etc/cabc-specifications/loans.yaml"]
    assert found.service.watch_inference_services == ["models"]
    assert found.service.tokens[0].sha256 == hashlib.sha256(READER.encode()).hexdigest()
    assert {token.name: token.roles for token in found.service.tokens} == {
        role: [role] for role in ("reader", "auditee", "auditing-party", "publisher")
    }


def test_auditor_understands_all_that_an_order_form_may_say() -> None:
    config = CabcAuditorConfig.model_validate(
        {
            "publicUrl": "https://audit.example.org",
            "oidc": {"issuer": "https://login.example.org", "audience": "cabc"},
            "retention": {"evidence": 400},
            "specificationsFrom": ["churn"],
        }
    )
    text = settings.settings(config, dict.fromkeys(settings.TOKENS, "0" * 64), watch=["models"])
    found = read(Settings, text.encode(), "cabc.yaml")
    assert found.service.oidc is not None
    assert found.service.oidc.roles_claim == "roles"
    assert found.retention.evidence == "P400D"
    assert found.documents == ["/etc/cabc-specifications/churn.yaml"]


def test_auditor_understands_its_connections(tmp_path: Path) -> None:
    places = {
        "mlflow": "http://mlflow.mlflow.svc.cluster.local:5000",
        "prometheus": "http://prometheus.prometheus.svc.cluster.local:9090",
        "models": ["models"],
        "predictions": "postgresql+psycopg://prediction_log_reader@postgres.postgres.svc.cluster.local:5432/prediction_log",
        "collector": "http://prediction-log.prediction-log.svc.cluster.local:8080",
    }
    own = {"lake": {"kind": "rest", "url": "https://lake.example.org"}}
    found = json.loads(settings.connections(places, own))
    # Its kind comes with the image's plugin, which has tests of its own.
    assert found["connections"].pop("infrastructure") == {"kind": "infrastructure", "inCluster": True}
    (tmp_path / "connections.yaml").write_text(json.dumps(found))
    kinds = {
        name: type(connection).__name__ for name, connection in load_connections(tmp_path / "connections.yaml").items()
    }
    assert kinds == {
        "mlflow": "MlflowConnection",
        "prometheus": "PrometheusConnection",
        "kubernetes": "KubernetesConnection",
        "predictions": "SqlConnection",
        "collector": "RestConnection",
        "docs": "FileConnection",
        "lake": "RestConnection",
    }


def test_pods_are_made_anew_when_what_they_read_changes(tmp_path: Path, resources: Plan) -> None:
    def digest(plan: Plan) -> str:
        template = named(plan, "Deployment", NAME)["spec"]["template"]
        return str(template["metadata"]["annotations"]["oss-mlops-platform/settings"])

    changed = {**FORM["cabcAuditor"], "connections": {"lake": {"kind": "rest", "url": "https://lake.example.org"}}}
    other = planned(tmp_path, {**FORM, "cabcAuditor": changed})
    assert digest(other) != digest(resources)


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.yaml", "no/such/file.yaml", "auditor"])
def test_specification_is_a_file_of_the_checkout(path: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="a file of the checkout"):
        CabcAuditorConfig.model_validate({"specifications": {"loans": path}})


def test_auditor_signs_with_a_key_that_was_made_for_it(tmp_path: Path) -> None:
    pair = make_key()
    (tmp_path / "assess.key").write_text(pair["private"])
    (tmp_path / "assess.pub").write_text(pair["public"])
    keys = Keys(tmp_path)
    assert keys.id_of("assess") in keys.public()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["assess.key", "assess.pub"], "nothing is written there"
    assert make_key() != pair
