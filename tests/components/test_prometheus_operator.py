"""What the operator makes of planned objects, with its planned rights: rules for Prometheus, routes for Alertmanager.

A component of its own asks to be told of alerts, in a copy of the project.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._core import paths
from components._core.rules import rules_of_components
from tests.support.alertmanager import Webhooks, running_alertmanager, until, webhooks
from tests.support.apiserver import ApiServer, binary, running_api_server
from tests.support.plans import Plan

pytestmark = [pytest.mark.apiserver, pytest.mark.backend]

PAGER = """\
import dataclasses

from components._core.component import Component, Promises
from components._core.contracts import AlertRouter, KubernetesCluster, MetricsStore
from components._core.rules import register_receiver, register_rules, rules_of_components
from components.pager.config import PagerConfig


class PagerComponent(Component[PagerConfig]):
    config_class = PagerConfig
    requires = (KubernetesCluster,)
    uses = (MetricsStore, AlertRouter)

    def deploy(self):
        self.create_namespace()
        register_receiver(
            self, self.needs.get(AlertRouter), "URL/pager", bearer_token="TOKEN", owners=("models",)
        )
        # Those of everybody as one, in which no two groups may have one name.
        groups = [
            dataclasses.replace(group, name=f"{folder}-{group.name}")
            for folder, found in rules_of_components().items()
            for group in found
        ]
        register_rules(self, self.needs.get(MetricsStore), groups)
        return Promises()
"""

CONFIG = """\
from components._core.config import ComponentConfig


class PagerConfig(ComponentConfig):
    pass
"""

PLURALS = {
    "CustomResourceDefinition": "customresourcedefinitions",
    "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Secret": "secrets",
    "Alertmanager": "alertmanagers",
    "AlertmanagerConfig": "alertmanagerconfigs",
    "Prometheus": "prometheuses",
    "PrometheusRule": "prometheusrules",
}
"""What is put into the API server, in this order."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    copy = tmp_path_factory.mktemp("project")
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for part in ("components", "stacks", "images", "toolchain"):
        shutil.copytree(paths.CHECKOUT / part, copy / part, ignore=ignore, symlinks=True)
    folder = copy / "components" / "pager"
    folder.mkdir()
    for name, text in {"__init__": '"""Be told."""\n', "config": CONFIG, "component": PAGER}.items():
        (folder / f"{name}.py").write_text(text)
    form = copy / "stacks" / "Pulumi.pager.yaml"
    asked = {"existingCluster": {"context": "x"}, "prometheus": {"receivers": {"team": TEAM}}, "pager": {}}
    form.write_text(json.dumps({"config": {f"{paths.APPLICATION}:components": asked}}))
    done = subprocess.run(
        [sys.executable, "-m", "components._core.plan", str(form)],
        cwd=copy,
        env={"PYTHONPATH": str(copy), "MLOPS_SOURCE": "registry-only", "PATH": "", "HOME": os.environ.get("HOME", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Plan(json.loads(done.stdout))


TEAM = {"url": "http://127.0.0.1:9/team"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    yield from running_api_server(tmp_path_factory, controllers=False)


@pytest.fixture(scope="module")
def hooks() -> Iterator[Webhooks]:
    with webhooks() as found:
        yield found


@pytest.fixture(scope="module")
def operator(
    server: ApiServer, plan: Plan, hooks: Webhooks, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """Put the planned objects into the API server and run the operator there, as its ServiceAccount."""
    secrets = {
        "alertmanager-config": {"alertmanager.yaml": _settings()},
        "pager-receiver": {"url": f"{hooks.url}/pager", "token": "sesame"},
        "prometheus-nodes": {"kubelet.yaml": "[]"},
    }
    for kind in PLURALS:
        for planned in plan.all(kind):
            if planned["type"].startswith("kubernetes:"):
                _create(server, kind, planned, secrets)
    folder = tmp_path_factory.mktemp("operator")
    (container,) = plan.of("Deployment", "prometheus-operator")["inputs"]["spec"]["template"]["spec"]["containers"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [binary("prometheus-operator"), *container["args"], f"--web.listen-address=127.0.0.1:{port}"],
            env={"KUBECONFIG": str(_kubeconfig(server, folder))},
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield server
    finally:
        process.kill()
        process.wait(10)
        print((folder / "log").read_text()[-4000:])  # noqa: T201 (shown when a test fails)


def test_component_is_told_of_what_it_asked_for(operator: ApiServer, hooks: Webhooks, tmp_path: Path) -> None:
    """The operator joins the planned routes, and a real Alertmanager takes them and delivers with the token."""

    def generated() -> str | None:
        path = "/api/v1/namespaces/prometheus/secrets/alertmanager-platform-generated"
        found = operator.find(path)
        if found is None:
            return None
        text = gzip.decompress(base64.b64decode(found["data"]["alertmanager.yaml.gz"])).decode()
        return text if "prometheus/pager/webhook" in text else None

    settings = until(generated, "the operator joins the routes")
    content = yaml.safe_load(settings)
    assert [receiver["name"] for receiver in content["receivers"]] == ["(nowhere)", "team", "prometheus/pager/webhook"]
    assert content["inhibit_rules"] == json.loads(_settings())["inhibit_rules"]
    with running_alertmanager(settings, tmp_path) as router:
        # Of any namespace; the team is still told as well.
        router.post(
            {"alertname": "PredictionDrift", "severity": "warning", "owner": "models", "namespace": "models"},
            {"alertname": "JobFailed", "severity": "warning", "owner": "platform", "namespace": "prometheus"},
        )
        assert router.receivers("PredictionDrift") == {"prometheus/pager/webhook", "team"}
        assert router.receivers("JobFailed") == {"team"}
        (delivery,) = until(lambda: hooks.to("/pager"), "the alert arrives")
    assert delivery.authorization == "Bearer sesame"
    assert [labels["alertname"] for labels in delivery.alerts] == ["PredictionDrift"]


def test_rules_of_every_component_reach_prometheus(operator: ApiServer) -> None:
    def mounted() -> dict[str, str]:
        found = operator.get("/api/v1/namespaces/prometheus/configmaps")["items"]
        files = [each.get("data", {}) for each in found if each["metadata"]["name"].startswith("prometheus-platform-")]
        return {name: text for data in files for name, text in data.items()}

    files = until(lambda: len(found := mounted()) >= 2 and found, "the operator hands the rules on")
    told = {
        rule.get("alert") or rule["record"]
        for text in files.values()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    }
    asked = {
        rule.get("alert") or rule["record"]
        for groups in rules_of_components().values()
        for group in groups
        for rule in group.spec()["rules"]
    }
    assert told == asked


def _settings() -> str:
    from components.prometheus import routing
    from components.prometheus.config import Receiver

    return routing.settings({"team": Receiver.model_validate(TEAM)})


def _create(server: ApiServer, kind: str, planned: dict[str, Any], secrets: dict[str, dict[str, str]]) -> None:
    inputs = json.loads(json.dumps(planned["inputs"]))
    metadata = inputs["metadata"]
    metadata.setdefault("name", planned["name"])
    if kind == "Secret":
        inputs["stringData"] = secrets[metadata["name"]]
    version = inputs["apiVersion"]
    inputs["kind"] = kind
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    where = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    path = f"{base}{where}/{PLURALS[kind]}"
    if version.startswith("monitoring.coreos.com"):
        until(lambda: server.find(path) is not None, f"{kind} is served")
    server.create(path, inputs)


def _kubeconfig(server: ApiServer, folder: Path) -> Path:
    """Return a kubeconfig for the ServiceAccount of the operator."""
    account = "/api/v1/namespaces/prometheus/serviceaccounts/prometheus-operator/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = server.request("POST", account, request)["status"]["token"]
    content = server.kubeconfig()
    content["users"] = [{"name": "admin", "user": {"token": token}}]
    file = folder / "kubeconfig"
    file.write_text(json.dumps(content))
    return file
