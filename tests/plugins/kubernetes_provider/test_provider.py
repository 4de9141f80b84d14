"""The provider itself: its arguments, clusters that do not answer, what it refuses by name, its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from mlops.plugins.kubernetes_provider import wire
from tests.support.apiserver import ApiServer
from tests.support.kubernetes_engine import CallError, FakeEngine, State, plan, token_of
from tests.support.kubernetes_objects import config_map, deployment

NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "c",
    "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}],
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
}


@pytest.fixture
def bare(tmp_path: Path) -> Any:
    with FakeEngine(tmp_path / "journal") as engine:
        yield engine


def _check_config(engine: FakeEngine, **arguments: Any) -> list[str]:
    request = provider_pb2.CheckRequest(
        urn="urn:pulumi:test::tests::pulumi:providers:kubernetes::p", news=wire.encode(arguments)
    )
    return [failure.reason for failure in engine.stub.CheckConfig(request).failures]


def _diff_config(engine: FakeEngine, old: dict[str, Any], new: dict[str, Any]) -> tuple[list[str], list[str]]:
    request = provider_pb2.DiffRequest(
        urn="urn:pulumi:test::tests::pulumi:providers:kubernetes::p", olds=wire.encode(old), news=wire.encode(new)
    )
    found = engine.stub.DiffConfig(request)
    return list(found.diffs), list(found.replaces)


def test_what_the_official_plugin_alone_does_is_refused_by_name(bare: FakeEngine) -> None:
    assert (
        "renderYamlToDirectory is not supported by this stand-in" in _check_config(bare, renderYamlToDirectory="o")[0]
    )
    assert _check_config(bare, kubeconfig="x", namespace="y", enableServerSideApply="true") == []


def test_new_credentials_update_and_another_cluster_replaces(bare: FakeEngine) -> None:
    other_user = json.loads(json.dumps(NOWHERE).replace('"token": "t"', '"token": "new"'))
    other_server = json.loads(json.dumps(NOWHERE).replace(":1", ":2"))
    old = {"kubeconfig": json.dumps(NOWHERE)}
    assert _diff_config(bare, old, old) == ([], [])
    assert _diff_config(bare, old, {"kubeconfig": json.dumps(other_user)}) == (["kubeconfig"], [])
    assert _diff_config(bare, old, {"kubeconfig": json.dumps(other_server)}) == (["kubeconfig"], ["kubeconfig"])


def test_cluster_identifier_decides_alone_whether_to_replace(bare: FakeEngine) -> None:
    other = json.dumps(NOWHERE).replace(":1", ":2")
    old = {"kubeconfig": json.dumps(NOWHERE), "clusterIdentifier": "a"}
    assert _diff_config(bare, old, {"kubeconfig": other, "clusterIdentifier": "a"}) == (["kubeconfig"], [])
    same = {"kubeconfig": json.dumps(NOWHERE), "clusterIdentifier": "b"}
    assert _diff_config(bare, old, same) == (["clusterIdentifier"], ["clusterIdentifier"])
    unknown = {"kubeconfig": wire.Unknown("04da6b54-80e4-46f7-96ec-b56ff0331ba9"), "clusterIdentifier": "a"}
    assert _diff_config(bare, old, unknown) == (["kubeconfig"], [])


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("kubernetes:helm.sh/v3:Release", "Release"),
        ("kubernetes:apps/v1:DeploymentPatch", "Deployment"),
        ("kubernetes:yaml/v2:ConfigGroup", "ConfigGroup"),
        ("kubernetes:kustomize/v2:Directory", "Directory"),
    ],
)
def test_type_of_the_official_plugin_alone_is_refused_by_name(bare: FakeEngine, token: str, kind: str) -> None:
    bare.configure(NOWHERE)
    with pytest.raises(CallError, match=f"{token} is not supported by this stand-in.*official plugin"):
        bare.check(State(token, "x"), {"kind": kind})


def test_list_kinds_are_refused(bare: FakeEngine) -> None:
    bare.configure(NOWHERE)
    with pytest.raises(CallError, match="Use the underlying resource type instead"):
        bare.check(State("kubernetes:core/v1:ConfigMapList", "x"), {"kind": "ConfigMapList", "items": []})


def test_components_functions_and_schemas_are_refused_by_name(bare: FakeEngine) -> None:
    calls: list[tuple[Any, Any, str]] = [
        (bare.stub.Construct, provider_pb2.ConstructRequest(type="kubernetes:helm.sh/v4:Chart"), "helm.sh/v4:Chart"),
        (bare.stub.Invoke, provider_pb2.InvokeRequest(tok="kubernetes:yaml:decode"), "kubernetes:yaml:decode"),
        (bare.stub.GetSchema, provider_pb2.GetSchemaRequest(), "schema"),
    ]
    for method, request, name in calls:
        with pytest.raises(CallError, match=f"{name}.* is not supported by this stand-in"):
            bare._call(method, request)


def test_cluster_that_does_not_answer_is_no_error_at_preview(bare: FakeEngine) -> None:
    bare.configure(NOWHERE)
    checked = bare.check(State(token_of(deployment("x")), "app"), deployment("x"))
    assert bare.preview_create(deployment("x")) == checked
    with pytest.raises(CallError, match="cluster is unreachable"):
        bare.create(deployment("x"))


def test_kubeconfig_that_makes_no_sense_is_no_error_at_preview(bare: FakeEngine) -> None:
    bare.configure("neither: a\nkubeconfig: b\n")
    assert bare.preview_create(config_map("x", "cm")) == config_map("x", "cm")
    with pytest.raises(CallError, match="no current context is set"):
        bare.create(config_map("x", "cm"))


def _stored() -> State:
    inputs = config_map("x", "cm")
    return State(token_of(inputs), "cm", "x/cm", inputs, {**inputs, "__inputs": inputs})


def test_object_of_an_unreachable_cluster_is_kept_unless_told_otherwise(bare: FakeEngine) -> None:
    bare.configure(NOWHERE)
    with pytest.raises(CallError, match="PULUMI_K8S_DELETE_UNREACHABLE"):
        bare.read(_stored())
    with pytest.raises(CallError, match="PULUMI_K8S_DELETE_UNREACHABLE"):
        bare.delete(_stored())
    bare.configure(NOWHERE, deleteUnreachable=True)
    assert bare.read(_stored()).id == ""
    bare.delete(_stored())


def test_update_of_an_unreachable_cluster_is_skipped_where_asked(bare: FakeEngine) -> None:
    bare.configure(NOWHERE, skipUpdateUnreachable=True)
    state = _stored()
    assert bare.check(state, config_map("x", "cm", a="2")) == state.inputs
    assert bare.read(state).id == state.id
    assert plan(bare.plan(state, config_map("x", "cm", a="2"))) == {}


@pytest.mark.apiserver
@pytest.mark.parametrize("form", ["content", "yaml", "path", "ambient"])
def test_kubeconfig_is_content_or_path_or_what_is_around(
    server: ApiServer, bare: FakeEngine, namespace: str, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    path = server.folder / "kubeconfig"
    if form == "ambient":
        monkeypatch.setenv("KUBECONFIG", str(path))
    text = path.read_text()
    given = {"content": text, "yaml": f"# comment\n{text}", "path": str(path), "ambient": ""}[form]
    bare.configure(given)
    assert bare.create(config_map(namespace, "cm")).id == f"{namespace}/cm"


@pytest.mark.apiserver
def test_context_and_cluster_arguments_choose_the_cluster(server: ApiServer, bare: FakeEngine, namespace: str) -> None:
    both = server.kubeconfig()
    both["clusters"] += NOWHERE["clusters"]
    both["contexts"] += [{"name": "elsewhere", "context": {"cluster": "k", "user": "admin"}}]
    both["current-context"] = "elsewhere"
    bare.configure(both, context="test")
    bare.create(config_map(namespace, "one"), "one")
    bare.configure(both, cluster="test")
    bare.create(config_map(namespace, "two"), "two")


@pytest.fixture
def process(tmp_path: Path) -> Any:
    started = time.monotonic()
    environment = os.environ | {"PULUMI_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "mlops.plugins.kubernetes_provider", "127.0.0.1:1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as plugin:
        assert plugin.stdout is not None
        port = int(plugin.stdout.readline())
        yield plugin, port, time.monotonic() - started
        plugin.kill()


def test_process_prints_its_port_first_and_soon(process: Any) -> None:
    _, port, seconds = process
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        assert stub.GetPluginInfo(empty_pb2.Empty(), timeout=10).version == "4.34.2"
        assert stub.Handshake(provider_pb2.ProviderHandshakeRequest(), timeout=10).accept_secrets
    assert seconds < 5, "it takes half a second on an idle machine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_process_ends_quietly_on_a_signal(process: Any, number: signal.Signals) -> None:
    plugin, _, _ = process
    plugin.send_signal(number)
    out, err = plugin.communicate(timeout=10)
    assert (plugin.returncode, out, err) == (0, "", "")


@pytest.mark.apiserver
def test_process_serves_resources_without_the_weight_of_its_libraries(
    process: Any, server: ApiServer, namespace: str
) -> None:
    plugin, port, _ = process
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        variables = {"kubernetes:config:kubeconfig": json.dumps(server.kubeconfig())}
        stub.Configure(provider_pb2.ConfigureRequest(variables=variables), timeout=30)
        request = provider_pb2.CreateRequest(
            urn="urn:pulumi:test::tests::kubernetes:core/v1:ConfigMap::cm",
            properties=wire.encode(config_map(namespace, "cm")),
        )
        assert stub.Create(request, timeout=60).id == f"{namespace}/cm"
    resident = int(Path(f"/proc/{plugin.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert resident < 100 * 1024 * 1024
