"""Metrics and alerts as the program plans them. That targets are read is shown by the loop on the cluster."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components._core import images, paths
from components.prometheus import rules, scraping
from components.prometheus.component import retention_size
from components.prometheus.config import ALERTMANAGER, PROMETHEUS, UPSTREAM
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


SERIES: dict[str, dict[str, str]] = {
    "a container": {"container": "c", "id": "/kubepods/x", "__name__": "container_cpu_usage_seconds_total"},
    "the sum of its pod": {"container": "", "id": "/kubepods", "__name__": "container_cpu_usage_seconds_total"},
    "the sum of the node": {"container": "", "id": "/", "__name__": "container_memory_working_set_bytes"},
    "a disk of the node": {"container": "", "id": "/", "__name__": "container_fs_usage_bytes"},
    "what a container wrote": {"container": "c", "id": "/kubepods/x", "__name__": "container_fs_usage_bytes"},
    "anything else": {"container": "c", "id": "/kubepods/x", "__name__": "container_tasks_state"},
}


def test_kubelets_are_read_for_a_handful_of_series() -> None:
    jobs: dict[str, Any] = {job["job_name"]: job for job in json.loads(scraping.kubelet())}
    assert all(job["honor_timestamps"] is False for job in jobs.values())
    kept = [what for what, labels in SERIES.items() if _kept(jobs["cadvisor"]["metric_relabel_configs"], labels)]
    assert kept == ["a container", "a disk of the node"]


def _kept(relabelings: list[dict[str, Any]], labels: dict[str, str]) -> bool:
    """Tell whether a series survives, as Prometheus does: expressions match all of the joined values."""
    for step in relabelings:
        value = ";".join(labels[name] for name in step.get("source_labels", []))
        matches = re.fullmatch(step["regex"], value) is not None
        if step["action"] == ("drop" if matches else "keep"):
            return False
    return True


def test_what_is_kept_of_kubernetes_can_be_read(resources: Plan) -> None:
    """A metric of kube-state-metrics is there when its kind is listed, and that when it may be."""
    kinds = {name.split("_")[1] for name in scraping.STATE_METRICS}
    assert {f"{kind}s" for kind in kinds} == set(scraping.STATE_RESOURCES)
    allowed = resources.of("ClusterRole", "kube-state-metrics")["inputs"]["rules"]
    assert {name for rule in allowed for name in rule["resources"]} == set(scraping.STATE_RESOURCES)


def test_rules_are_registered_like_those_of_every_component(resources: Plan) -> None:
    (found,) = resources.all("PrometheusRule")
    assert found["name"] == "prometheus-rules"
    assert found["inputs"]["spec"]["groups"] == [group.spec() for group in rules.groups()]
    assert {f"{kind}.monitoring.coreos.com" for kind in KINDS} <= resources.waits(found)


@pytest.mark.parametrize(("storage", "wanted"), [("5Gi", "4096MB"), ("1Ti", "838860MB"), ("10G", "7629MB")])
def test_samples_go_before_the_volume_is_full(storage: str, wanted: str) -> None:
    assert retention_size(storage) == wanted
