"""The database server as the program plans it. That it runs is shown by the loop on the cluster."""

from __future__ import annotations

import re

import pydantic
import pytest

from components.postgres import files
from components.postgres.component import PostgresComponent
from components.postgres.config import PostgresConfig
from tests.support.plans import Plan, planned

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


def test_other_namespaces_reach_the_port_of_the_server(resources: Plan) -> None:
    policy = resources.of("NetworkPolicy", "postgres-postgres")["inputs"]
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "postgres"}}
    assert [port["port"] for port in policy["spec"]["ingress"][0]["ports"]] == [files.PORT]


def test_one_database_for_two_consumers_is_an_error() -> None:
    server = object.__new__(PostgresComponent)
    server.claimed = {"mlflow"}
    with pytest.raises(ValueError, match="'mlflow' is claimed twice"):
        server.claim("mlflow")


def test_order_form_sets_the_servers_settings() -> None:
    text = files.settings(PostgresConfig.model_validate({"maxConnections": 20, "sharedBuffers": 256}))
    assert "max_connections = 20\n" in text
    assert "shared_buffers = 256MB\n" in text


def test_server_with_no_connections_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError):
        PostgresConfig.model_validate({"maxConnections": 0})


def test_claims_may_run_again() -> None:
    creations = re.findall(r"CREATE (?:ROLE|DATABASE)[^;]*?\\gexec", files.CLAIM_SQL, re.DOTALL)
    assert len(creations) == 2
    assert all("WHERE NOT EXISTS" in creation for creation in creations)


def test_interrupted_initdb_begins_again() -> None:
    script = files.start_script()
    assert script.index("rm -rf") < script.index('initdb --pgdata="$data.partial"') < script.index("mv -T")
