"""`kubernetes` against a real API server, through a role that may read two things."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc.document.interfaces import KubernetesInterface
from cabc.interfaces.base import ExtractError, RetrieveError, Value
from cabc.interfaces.connections import KubernetesConnection
from cabc.interfaces.kubernetes import KubernetesPlugin

from tests.support.apiserver import ApiServer, running_api_server
from tests.support.http_backend import HttpBackend, Reply
from tests.support.retrieval import SUBJECT, retrieve, spec, value

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "scoring", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "scoring"}},
        "template": {
            "metadata": {"labels": {"app": "scoring"}},
            "spec": {
                "containers": [{"name": "model", "image": "registry/model:1.2"}, {"name": "agent", "image": "a:1"}]
            },
        },
    },
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Give an API server with a deployment, a secret, and a service account that reads deployments."""
    for server in running_api_server(tmp_path_factory, controllers=False):
        server.create("/api/v1/namespaces", {"metadata": {"name": "credit"}})
        server.create("/apis/apps/v1/namespaces/credit/deployments", DEPLOYMENT)
        server.create("/api/v1/namespaces/credit/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "hunter2"}})
        server.create("/api/v1/namespaces/credit/serviceaccounts", {"metadata": {"name": "auditor"}})
        rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]
        roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/credit"
        server.create(f"{roles}/roles", {"metadata": {"name": "reader"}, "rules": rules})
        who = [{"kind": "ServiceAccount", "name": "auditor", "namespace": "credit"}]
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
        server.create(f"{roles}/rolebindings", {"metadata": {"name": "reader"}, "roleRef": role, "subjects": who})
        yield server


@pytest.fixture
def connection(cluster: ApiServer, tmp_path: Path) -> KubernetesConnection:
    """Give a connection with a kubeconfig of that service account."""
    asked = {"spec": {"expirationSeconds": 3600}}
    token = cluster.create("/api/v1/namespaces/credit/serviceaccounts/auditor/token", asked)["status"]["token"]
    config = cluster.kubeconfig()
    config["users"][0]["user"]["token"] = token
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    made: KubernetesConnection = spec(
        KubernetesConnection, kind="kubernetes", kubeconfig=str(tmp_path / "kubeconfig"), network="loopback"
    )
    return made


def ask(jsonpath: str, **keys: Any) -> KubernetesInterface:
    defaults = {"api_version": "apps/v1", "resource": "deployments"}
    asked: KubernetesInterface = spec(
        KubernetesInterface, kind="kubernetes", connection="cluster", jsonpath=jsonpath, **{**defaults, **keys}
    )
    return asked


@pytest.mark.apiserver
@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("$.spec.replicas", 2),
        (".spec.replicas", 2),
        ("$.spec.template.spec.containers[?@.name == 'model'].image", "registry/model:1.2"),
        ("$.metadata.name", "scoring"),
    ],
)
def test_a_field_of_the_subjects_own_object(connection: KubernetesConnection, path: str, wanted: Value) -> None:
    assert value(KubernetesPlugin(), ask(path), connection) == wanted


@pytest.mark.apiserver
def test_the_object_may_be_named(connection: KubernetesConnection) -> None:
    named = ask("$.spec.replicas", namespace="credit", name="${subject.serviceName}")
    assert value(KubernetesPlugin(), named, connection) == 2
    answer = retrieve(KubernetesPlugin(), named, connection)
    assert answer.origin == "GET /apis/apps/v1/namespaces/credit/deployments/scoring of connection cluster"
    assert b"managedFields" not in answer.body
    assert b"last-applied" not in answer.body


@pytest.mark.apiserver
@pytest.mark.parametrize(
    ("path", "why"),
    [("$.nothing", "nothing"), ("$.spec.template.spec.containers[*].image", "2 values"), ("$.spec", "object")],
)
def test_what_is_not_one_value_is_an_error(connection: KubernetesConnection, path: str, why: str) -> None:
    with pytest.raises(ExtractError, match=why):
        value(KubernetesPlugin(), ask(path), connection)


@pytest.mark.apiserver
def test_what_is_not_there_or_not_allowed_is_an_error(connection: KubernetesConnection) -> None:
    with pytest.raises(RetrieveError, match="no object nothing"):
        retrieve(KubernetesPlugin(), ask("$", name="nothing"), connection)
    with pytest.raises(RetrieveError, match="403"):
        retrieve(KubernetesPlugin(), ask("$", namespace="default", name="scoring"), connection)


@pytest.mark.apiserver
@pytest.mark.parametrize(
    "resource", ["secrets", "Secrets", "configmaps", "pods", "serviceaccounts", "secrets/x", "*", ""]
)
def test_secrets_and_what_the_operator_did_not_name_are_not_asked_for(
    connection: KubernetesConnection, resource: str
) -> None:
    wide = connection.model_copy(update={"resources": ["deployments", "secrets", "secrets/x", "*"]})
    for allowed in (connection, wide):
        with pytest.raises(RetrieveError, match=r"allow|no name"):
            retrieve(KubernetesPlugin(), ask("$", resource=resource, api_version="v1", name="s"), allowed)


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "../../secrets/s"},
        {"name": "s/../x"},
        {"namespace": "credit/secrets/s?x="},
        {"name": "a?watch=true"},
        {"name": "a%2f.."},
        {"name": ".."},
        {"name": "a..b"},
        {"api_version": "../../api/v1"},
        {"api_version": "v1/namespaces/credit/secrets/s"},
        {"api_version": "apps/v1?x"},
        {"api_version": "/v1"},
    ],
)
def test_names_cannot_change_the_address(keys: dict[str, str]) -> None:
    connection = spec(KubernetesConnection, kind="kubernetes", kubeconfig="/nonexistent")
    with pytest.raises(RetrieveError, match=r"no name|allow"):
        retrieve(KubernetesPlugin(), ask("$", **keys), connection)


def test_namespaces_may_be_limited() -> None:
    limited = spec(KubernetesConnection, kind="kubernetes", kubeconfig="/nonexistent", namespaces=["other"])
    for keys in ({}, {"namespace": "credit"}):
        with pytest.raises(RetrieveError, match="namespace credit"):
            retrieve(KubernetesPlugin(), ask("$", **keys), limited)
    bare = SUBJECT.model_copy(update={"inference_service": None})
    with pytest.raises(RetrieveError, match="no name"):
        retrieve(KubernetesPlugin(), ask("$"), limited, bare)


def kubeconfig(folder: Path, url: str, **cluster: Any) -> KubernetesConnection:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "x", "user": {"token": "sa-token-value"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    made: KubernetesConnection = spec(
        KubernetesConnection, kind="kubernetes", kubeconfig=str(folder / "kubeconfig"), network="loopback"
    )
    return made


@pytest.mark.parametrize("cluster", [{}, {"insecure-skip-tls-verify": True}])
def test_the_token_does_not_go_to_a_server_that_is_not_verified(tmp_path: Path, cluster: dict[str, Any]) -> None:
    with HttpBackend({}) as server:
        url = server.url if not cluster else server.url.replace("http", "https")
        with pytest.raises(RetrieveError, match="verify"):
            retrieve(KubernetesPlugin(), ask("$"), kubeconfig(tmp_path, url, **cluster))
        assert server.requests == []


def test_no_proxy_of_the_environment_sees_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpBackend(lambda _: Reply()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(RetrieveError, match="failed"):
            retrieve(KubernetesPlugin(), ask("$"), kubeconfig(tmp_path, "https://127.0.0.1:9"))
        assert proxy.requests == []


def test_a_configuration_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for keys in ({"kubeconfig": str(tmp_path / "nothing")}, {"in_cluster": True}):
        with pytest.raises(RetrieveError, match="configuration"):
            retrieve(KubernetesPlugin(), ask("$"), spec(KubernetesConnection, kind="kubernetes", **keys))
