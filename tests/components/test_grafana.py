"""Grafana as the program plans it, with its image and without."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest

from components._core import images
from components._core.sources import Source
from components.grafana import rules
from components.grafana.component import datasources, image
from components.grafana.config import IMAGE, GrafanaConfig, Prices
from components.grafana.dashboards import DASHBOARDS
from components.grafana.dashboards.cost import CORE_HOUR, GIB_HOUR
from tests.support.plans import Plan, planned

FORM: dict[str, Any] = {"prometheus": {}, "grafana": {"prices": {"currency": "EUR", "coreHour": 0.5}}}
OIDC = {
    "clientId": "grafana",
    "authUrl": "https://id.example.org/authorize",
    "tokenUrl": "https://id.example.org/token",
    "userinfoUrl": "https://id.example.org/userinfo",
}


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM, source="upstream")


@pytest.fixture(scope="module")
def left_out(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), FORM, source="registry-only")


def pod(resources: Plan) -> dict[str, Any]:
    found: dict[str, Any] = resources.of("Deployment", "grafana")["inputs"]["spec"]["template"]["spec"]
    return found


def variables(resources: Plan) -> dict[str, Any]:
    (container,) = pod(resources)["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def config(resources: Plan, name: str) -> dict[str, str]:
    data: dict[str, str] = resources.of("ConfigMap", name)["inputs"]["data"]
    return data


def outputs(resources: Plan) -> Any:
    return resources.of("Grafana")["inputs"]


def test_image_is_pinned_and_pulled_by_the_nodes() -> None:
    assert image(GrafanaConfig(), Source.UPSTREAM) == IMAGE
    assert "@sha256:" in IMAGE
    assert not images.is_local(IMAGE)
    assert images.find_references({"image": IMAGE}) == {IMAGE}


def test_no_choice_yet_means_upstream() -> None:
    assert image(GrafanaConfig(), None) == IMAGE


def test_a_mirror_is_used_from_either_source() -> None:
    mirror = GrafanaConfig.model_validate({"image": "mirror.example.org:5000/grafana:12.4.2"})
    for source in Source:
        assert image(mirror, source) == "mirror.example.org:5000/grafana:12.4.2"


def test_without_an_image_nothing_of_grafana_is_planned(left_out: Plan) -> None:
    mine = {resource["type"].rpartition(":")[2] for resource in left_out if resource["parent"].endswith("::grafana")}
    assert mine == {"Namespace", "NetworkPolicy", "PrometheusRule"}


def test_prices_are_there_without_grafana(left_out: Plan) -> None:
    (group,) = left_out.of("PrometheusRule", "grafana-rules")["inputs"]["spec"]["groups"]
    found = {rule["record"]: (rule["expr"], rule["labels"]) for rule in group["rules"]}
    assert found == {
        CORE_HOUR: ("vector(0.5)", {"currency": "EUR"}),
        GIB_HOUR: ("vector(0.0043)", {"currency": "EUR"}),
    }


def test_rules_without_an_order_form_have_the_defaults() -> None:
    assert rules.groups() == rules.groups(Prices())


@pytest.mark.parametrize("prices", [{"coreHour": -1}, {"gibHour": "nan"}, {"currency": "euro"}, {"coreHour": "inf"}])
def test_prices_that_are_none_are_refused(prices: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        GrafanaConfig.model_validate({"prices": prices})


def test_every_dashboard_is_mounted(resources: Plan) -> None:
    pages = config(resources, "grafana-dashboards")
    assert set(pages) == {f"{name}.json" for name in DASHBOARDS}
    assert sum(map(len, pages.values())) < 2**20, "a ConfigMap holds a mebibyte"
    (container,) = pod(resources)["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (provider,) = json.loads(config(resources, "grafana-provisioning")["dashboards.yaml"])["providers"]
    assert provider["options"]["path"] == mounts["pages"]
    assert variables(resources)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{mounts['pages']}/platform.json"
    assert mounts["datasources"] == f"{variables(resources)['GF_PATHS_PROVISIONING']}/datasources"


def test_datasources_are_those_of_the_contracts(resources: Plan) -> None:
    found = json.loads(config(resources, "grafana-provisioning")["datasources.yaml"])["datasources"]
    assert {each["uid"]: each["url"] for each in found} == {
        "prometheus": "http://prometheus.prometheus.svc.cluster.local:9090",
        "alertmanager": "http://alertmanager.prometheus.svc.cluster.local:9093",
    }
    assert [each["uid"] for each in found if each.get("isDefault")] == ["prometheus"]


def test_without_alertmanager_there_is_one_datasource() -> None:
    (only,) = json.loads(datasources({"prometheus": "http://x"}))["datasources"]
    assert only["type"] == "prometheus"


def test_other_content_makes_another_pod(resources: Plan) -> None:
    for name in ("grafana-dashboards", "grafana-provisioning"):
        assert "name" not in resources.of("ConfigMap", name)["inputs"]["metadata"]


def test_secrets_are_generated_and_stand_in_a_secret_alone(resources: Plan) -> None:
    secret = resources.of("Secret", "grafana-admin")["inputs"]
    assert secret["stringData"] in ({"key": "[secret]", "password": "[secret]"}, "[secret]")
    given = variables(resources)
    for name, key in {"GF_SECURITY_ADMIN_PASSWORD": "password", "GF_SECURITY_SECRET_KEY": "key"}.items():
        assert given[name] == {"secretKeyRef": {"name": "grafana-admin", "key": key}}


def test_pod_passes_restricted_and_writes_only_to_its_volumes(resources: Plan) -> None:
    (container,) = pod(resources)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod(resources)["securityContext"]["runAsNonRoot"] is True
    assert pod(resources)["automountServiceAccountToken"] is False
    written = {volume["name"] for volume in pod(resources)["volumes"] if "emptyDir" in volume}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in written}
    assert mounts == {"/tmp", variables(resources)["GF_PATHS_DATA"]}  # noqa: S108 (a path in the pod)


def test_grafana_asks_nobody_outside(resources: Plan) -> None:
    given = variables(resources)
    assert given["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
    assert given["GF_ANALYTICS_REPORTING_ENABLED"] == given["GF_ANALYTICS_CHECK_FOR_UPDATES"] == "false"


def test_there_is_no_login_but_the_admins_until_told(resources: Plan) -> None:
    assert not [name for name in variables(resources) if "OAUTH" in name]


def test_login_through_a_provider(tmp_path_factory: pytest.TempPathFactory) -> None:
    form = {"prometheus": {}, "grafana": {"oidc": OIDC, "rootUrl": "https://grafana.example.org/"}}
    given = variables(planned(tmp_path_factory.mktemp("form"), form, source="upstream"))
    assert given["GF_AUTH_GENERIC_OAUTH_ENABLED"] == "true"
    assert given["GF_AUTH_GENERIC_OAUTH_USE_PKCE"] == "true"
    assert given["GF_AUTH_GENERIC_OAUTH_API_URL"] == OIDC["userinfoUrl"]
    reference = given["GF_AUTH_GENERIC_OAUTH_CLIENT_SECRET"]["secretKeyRef"]
    assert reference["optional"] is True, "a public client has no secret, and the pod must start"
    assert given["GF_SECURITY_COOKIE_SECURE"] == "true"


def test_grafana_is_scraped(resources: Plan) -> None:
    monitor = resources.of("ServiceMonitor", "grafana-monitor")["inputs"]
    assert monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "oss-mlops-platform"
    assert monitor["spec"]["endpoints"] == [{"port": "http", "path": "/metrics", "interval": "30s"}]
