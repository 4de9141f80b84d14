"""Metrics and alerts as the program plans them. That targets are read is shown by the loop on the cluster."""

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest

from components._core import images, paths
from components.prometheus import rules, scraping
from components.prometheus.component import alertmanager_settings, retention_size
from components.prometheus.config import ALERTMANAGER, PROMETHEUS, UPSTREAM, PrometheusConfig
from components.prometheus.definitions import KINDS, definitions, trim
from tests.support.plans import Plan, planned


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(tmp_path_factory.mktemp("form"), {"prometheus": {"scrapeInterval": "20s"}})


def test_trimming_takes_prose_and_leaves_a_property_of_that_name() -> None:
    schema = {
        "description": "prose",
        "properties": {"description": {"type": "string", "description": "prose"}},
        "items": [{"anyOf": [{"description": "prose", "type": "integer"}]}],
    }
    assert trim(schema) == {
        "properties": {"description": {"type": "string"}},
        "items": [{"anyOf": [{"type": "integer"}]}],
    }


def test_definitions_are_upstreams_without_prose() -> None:
    found = definitions(UPSTREAM)
    assert [manifest["spec"]["names"]["plural"] for manifest in found] == list(KINDS)
    size = len(json.dumps(found))
    assert size < 400_000
    (prometheus,) = [manifest for manifest in found if manifest["spec"]["names"]["kind"] == "Prometheus"]
    schema = prometheus["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"]["properties"]["retention"]["pattern"]


def test_pins_are_those_of_the_toolchain_and_the_images() -> None:
    def lines(module: str, file: str) -> list[str]:
        return (paths.CHECKOUT / "toolchain" / module / file).read_text().splitlines()

    assert f"{UPSTREAM.path} {UPSTREAM.version} {UPSTREAM.h1}" in lines("prometheus-operator", "go.sum")
    # Prometheus 3.13.5 is version 0.313.5 of its Go module.
    major, minor, patch = PROMETHEUS.removeprefix("v").split(".")
    module = f"github.com/prometheus/prometheus v0.{major}{int(minor):02}.{patch}"
    assert any(module in line for line in lines("prometheus", "go.mod"))
    assert any(f"github.com/prometheus/alertmanager {ALERTMANAGER}" in line for line in lines("alertmanager", "go.mod"))
    for name, version in {"prometheus": PROMETHEUS, "alertmanager": ALERTMANAGER}.items():
        assert f":{version}" in str(images.image(name).upstream)


def test_operator_starts_when_its_definitions_are_there(resources: Plan) -> None:
    operator = resources.of("Deployment", "prometheus-operator")
    assert {f"{kind}.monitoring.coreos.com" for kind in KINDS} <= resources.waits(operator)


@pytest.mark.parametrize("kind", ["Prometheus", "Alertmanager"])
def test_up_waits_until_the_operator_has_made_the_pods(resources: Plan, kind: str) -> None:
    (found,) = [r for r in resources.all(kind) if r["type"].startswith("kubernetes:")]
    assert found["inputs"]["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Available"
    assert "prometheus-operator" in resources.waits(found)


@pytest.mark.parametrize("kind", ["Prometheus", "Alertmanager"])
def test_pods_of_the_operator_pass_restricted(resources: Plan, kind: str) -> None:
    (found,) = [r for r in resources.all(kind) if r["type"].startswith("kubernetes:")]
    spec = found["inputs"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert set(spec["resources"]) == {"requests", "limits"}


def test_sidecars_of_the_operator_have_requests_and_limits(resources: Plan) -> None:
    (operator,) = resources.of("Deployment", "prometheus-operator")["inputs"]["spec"]["template"]["spec"]["containers"]
    given = {argument.partition("=")[0] for argument in operator["args"]}
    assert {f"--config-reloader-{what}-{kind}" for what in ("cpu", "memory") for kind in ("request", "limit")} <= given


def test_operator_writes_nothing_outside_its_namespace(resources: Plan) -> None:
    for rule in resources.of("ClusterRole", "prometheus-operator")["inputs"]["rules"]:
        if rule["resources"] != ["events"]:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}
            assert not {"secrets", "configmaps"} & set(rule["resources"])


def test_monitors_of_every_namespace_of_the_platform_are_read(resources: Plan) -> None:
    (found,) = [r for r in resources.all("Prometheus") if r["type"].startswith("kubernetes:")]
    spec = found["inputs"]["spec"]
    platform = {"matchLabels": {"app.kubernetes.io/part-of": "oss-mlops-platform"}}
    for kind in ("serviceMonitor", "podMonitor", "rule"):
        assert spec[f"{kind}Selector"] == spec[f"{kind}NamespaceSelector"] == platform
    for monitor in (*resources.all("PodMonitor"), *resources.all("PrometheusRule")):
        assert platform["matchLabels"].items() <= monitor["inputs"]["metadata"]["labels"].items()


def test_services_select_the_pods_that_the_operator_names(resources: Plan) -> None:
    for app in ("prometheus", "alertmanager"):
        selector = resources.of("Service", app)["inputs"]["spec"]["selector"]
        assert selector == {"app.kubernetes.io/name": app, "app.kubernetes.io/instance": "platform"}


def test_order_form_sets_the_interval(resources: Plan) -> None:
    (found,) = [r for r in resources.all("Prometheus") if r["type"].startswith("kubernetes:")]
    assert found["inputs"]["spec"]["scrapeInterval"] == "20s"
    assert found["inputs"]["spec"]["overrideHonorTimestamps"] is True


def test_kubelets_are_read_for_a_handful_of_series() -> None:
    jobs: dict[str, Any] = {job["job_name"]: job for job in json.loads(scraping.kubelet())}
    keep = jobs["cadvisor"]["metric_relabel_configs"][0]
    assert keep["action"] == "keep"
    assert set(keep["regex"].split("|")) == set(scraping.CONTAINERS)
    assert all(job["honor_timestamps"] is False for job in jobs.values())


def test_alerts_go_nowhere_until_told() -> None:
    settings = json.loads(alertmanager_settings([]))
    assert settings["receivers"] == [{"name": settings["route"]["receiver"]}]


def test_alerts_go_to_every_webhook() -> None:
    settings = json.loads(alertmanager_settings(["https://a.example/x", "https://b.example"]))
    receiver = next(found for found in settings["receivers"] if found["name"] == settings["route"]["receiver"])
    assert [hook["url"] for hook in receiver["webhook_configs"]] == ["https://a.example/x", "https://b.example"]


def test_webhook_that_is_no_url_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError):
        PrometheusConfig.model_validate({"alertWebhooks": ["pager"]})


def test_every_alert_has_a_severity_and_a_sentence() -> None:
    alerts = [rule for group in rules.groups() for rule in group["rules"]]
    assert len({alert["alert"] for alert in alerts}) == len(alerts)
    for alert in alerts:
        assert alert["labels"]["severity"] in {"none", "warning", "critical"}
        assert alert["annotations"]["summary"].endswith(".")


def test_alerts_ask_only_for_series_that_are_kept() -> None:
    import re

    kept = {*scraping.CONTAINERS, *scraping.VOLUMES, *scraping.STATE_METRICS, "up", "model_request_seconds_count"}
    text = " ".join(rule["expr"] for group in rules.groups() for rule in group["rules"])
    assert set(re.findall(r"\b(?:kube|kubelet|container|model)_\w+", text)) - {"model_name", "model_version"} <= kept


@pytest.mark.parametrize(("storage", "wanted"), [("5Gi", "4096MB"), ("1Ti", "838860MB"), ("10G", "7629MB")])
def test_samples_go_before_the_volume_is_full(storage: str, wanted: str) -> None:
    assert retention_size(storage) == wanted
