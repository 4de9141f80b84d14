"""The object store as the program plans it, and its claims against a server that remembers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from components._core.plan import PlanError
from components.object_store.claim import Admin, Answer, ClaimError, claim
from components.object_store.component import ADMIN_PORT, PORT, ObjectStoreComponent
from tests.support.plans import Plan, planned

FORM = {"postgres": {}, "objectStore": {"protect": True}, "mlflow": {}}


class Server:
    """What versitygw's admin API does with users and buckets."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.owners: dict[str, str] = {}

    def __call__(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        text = body.decode()
        if path == "/create-user":
            access = text.partition("<Access>")[2].partition("<")[0]
            if access in self.keys:
                return Answer(409, "<Error><Code>XAdminUserExists</Code></Error>")
            self.keys[access] = text.partition("<Secret>")[2].partition("<")[0]
        elif path.startswith("/update-user?access="):
            self.keys[path.partition("=")[2]] = text.partition("<Secret>")[2].partition("<")[0]
        elif path.endswith("/create"):
            bucket = path.split("/")[1]
            if bucket in self.owners:
                return Answer(409, "<Error><Code>BucketAlreadyExists</Code></Error>")
            self.owners[bucket] = headers["x-vgw-owner"]
        elif path.startswith("/change-bucket-owner/?"):
            bucket, owner = (part.partition("=")[2] for part in path.partition("?")[2].split("&"))
            self.owners[bucket] = owner
        return Answer(200, "")


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM)


def test_claim_makes_a_user_that_owns_its_bucket() -> None:
    server = Server()
    claim(Admin(server), "models", "one")
    assert server.keys == {"models": "one"}
    assert server.owners == {"models": "models"}


def test_claim_that_runs_again_takes_over_the_new_key() -> None:
    server = Server()
    claim(Admin(server), "models", "one")
    claim(Admin(server), "models", "two")
    assert server.keys == {"models": "two"}


def test_claim_takes_over_a_bucket_that_belongs_to_nobody_else() -> None:
    server = Server()
    server.owners["models"] = "root"
    claim(Admin(server), "models", "one")
    assert server.owners == {"models": "models"}


def test_refusal_says_what_was_asked_and_why() -> None:
    answer = Answer(
        403, "<Error><Code>SignatureDoesNotMatch</Code><Message>Check your key.</Message><More>x</More></Error>"
    )

    def refuse(_path: str, _body: bytes, _headers: Mapping[str, str]) -> Answer:
        return answer

    with pytest.raises(ClaimError, match=r"^PATCH /create-user: 403 SignatureDoesNotMatch: Check your key\.$"):
        claim(Admin(refuse), "models", "one")


def test_claims_script_is_the_one_tested(resources: Plan) -> None:
    from components.object_store import claim as module

    found = resources.of("ConfigMap", "object-store-claim")["inputs"]["data"]
    assert found == {"claim.py": Path(module.__file__).read_text()}


def test_only_the_s3_port_is_open_to_other_namespaces(resources: Plan) -> None:
    policy = resources.of("NetworkPolicy", "object-store-object-store")["inputs"]
    assert [port["port"] for port in policy["spec"]["ingress"][0]["ports"]] == [PORT]
    (server,) = resources.of("StatefulSet", "object-store")["inputs"]["spec"]["template"]["spec"]["containers"]
    assert f"--admin-port=:{ADMIN_PORT}" in server["args"]


def test_server_gets_its_key_from_a_secret(resources: Plan) -> None:
    (server,) = resources.of("StatefulSet", "object-store")["inputs"]["spec"]["template"]["spec"]["containers"]
    key = next(entry for entry in server["env"] if entry["name"] == "ROOT_SECRET_ACCESS_KEY")
    assert key["valueFrom"]["secretKeyRef"]["name"] == "object-store-root"
    assert resources.of("Secret", "object-store-root")["inputs"]["stringData"] == "[secret]"


def test_consumer_waits_for_its_bucket(resources: Plan) -> None:
    assert "object-store-claim-mlflow" in resources.waits(resources.of("Deployment", "mlflow"))
    assert "object-store" in resources.waits(resources.of("Job", "object-store-claim-mlflow"))


def test_one_bucket_for_two_consumers_is_an_error() -> None:
    server = object.__new__(ObjectStoreComponent)
    server.claimed = {"mlflow"}
    with pytest.raises(ValueError, match="'mlflow' is claimed twice"):
        server.claim("mlflow")


def test_name_that_s3_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="found a name S3 refuses"):
        planned(tmp_path, {"postgres": {}, "objectStore": {}, "mlflow": {"bucket": "ab"}})
