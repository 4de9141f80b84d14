"""Every panel and every rule, asked of the Prometheus of a platform that has closed its loop."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from typing import Any

import pytest
from pydantic.alias_generators import to_camel

from components._core.rules import Alert, rules_of_components
from components.grafana.dashboards import DASHBOARDS
from mlops import engine
from mlops.dash.prometheus import Prometheus
from mlops.loop.cluster import Cluster
from tests.support.platform import Platform, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

WINDOW = "1h"
"""Looked back on: a run of a pipeline is over when its metrics are asked for."""

EMPTY = {
    "platform: What fires": "nothing fires on a healthy platform",
    "platform: Volumes in use": "volumes of this cluster are folders of the node, which tell nothing",
    "serving: Failed, by window": "recorded by rules that have to have run over the window's traffic first",
    "quality: Business": "nobody has said what a decision was worth",
    "quality: Feedback": "nobody has said what they think of a decision",
}
"""Panels that may be without data, and why. Any other that is, is a panel that nothing feeds."""

ALWAYS_FIRING = {"Watchdog"}
"""It shows that rules are evaluated at all."""


@pytest.fixture(scope="module")
def panels(platform: Platform, source: Prometheus) -> dict[str, dict[str, Any]]:
    """Give what `mlops dash --json` says, once monitor, auditor and gate have had their turn."""

    def look() -> dict[str, dict[str, Any]]:
        done = platform.mlops("dash", "--stack", platform.stack, "--json", "--since", WINDOW)
        return {
            f"{dashboard['name']}: {panel['title']}": panel
            for dashboard in json.loads(done.stdout)["dashboards"]
            for row in dashboard["rows"]
            for panel in row["panels"]
        }

    def all_there() -> bool:
        found.update(look())
        return all(panel["series"] for title, panel in found.items() if title not in EMPTY)

    assert source.now("up", time.time())
    found: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(AssertionError):  # the tests below name those that are empty
        wait_for(all_there, seconds=240, what="data for every panel")
    return found


@pytest.mark.parametrize(
    "title", [f"{dashboard.name}: {panel.title}" for dashboard in DASHBOARDS.values() for panel in dashboard.panels()]
)
def test_panel_is_answered_by_live_data(panels: dict[str, dict[str, Any]], title: str) -> None:
    panel = panels[title]
    assert "refuses" not in (panel["missing"] or "")
    assert panel["series"] or title in EMPTY, f"{panel['missing']}: {panel['queries']}"


def test_reasons_are_about_panels_that_exist() -> None:
    titles = {f"{dashboard.name}: {panel.title}" for dashboard in DASHBOARDS.values() for panel in dashboard.panels()}
    assert set(EMPTY) <= titles


RULES = {
    f"{folder}: {rule.rule().get('alert') or rule.rule()['record']} {number}": (folder, rule)
    for folder, groups in rules_of_components().items()
    for number, rule in enumerate(rule for group in groups for rule in group.rules)
}


@pytest.fixture(scope="module")
def installed(platform: Platform, closed: tuple[dict[str, Any], float]) -> set[str]:
    """Give the order form's keys of what is deployed."""
    assert closed[0]["exitCode"] == 0
    return set(engine.outputs(platform.stack))


DISK = {"VolumeAlmostFull", "NodeDiskAlmostFull"}
"""Volumes are folders of the node, and the node's disk is this machine's: where that is full, these are right."""


def disk_is_almost_full() -> bool:
    usage = shutil.disk_usage("/")
    return usage.free / usage.total < 0.25


@pytest.mark.parametrize("name", RULES)
def test_rule_is_understood_and_its_alert_is_quiet(source: Prometheus, installed: set[str], name: str) -> None:
    folder, rule = RULES[name]
    found = source.now(rule.expression, time.time())  # raises where Prometheus does not take it
    if isinstance(rule, Alert):
        firing = source.now(f'ALERTS{{alertname="{rule.name}",alertstate="firing"}}', time.time())
        if rule.name not in DISK or not disk_is_almost_full():
            assert bool(firing) == (rule.name in ALWAYS_FIRING), firing
    elif to_camel(folder) in installed:
        assert found, "a series that is recorded from nothing"


def test_every_rule_is_loaded_and_healthy(source: Prometheus, installed: set[str]) -> None:
    groups = source.ask("/api/v1/rules", {}).json()["data"]["groups"]
    loaded = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(loaded.values()) <= {"ok", "unknown"}
    wanted = {
        rule.name if isinstance(rule, Alert) else rule.record
        for folder, rule in RULES.values()
        if to_camel(folder) in installed
    }
    assert wanted <= set(loaded)


def test_what_a_rule_asks_for_is_exported(source: Prometheus, installed: set[str]) -> None:
    """An alert is quiet also when its metric has another name by now: each has to be there, or be named."""
    wanted = {
        (name, metric)
        for name, (folder, rule) in RULES.items()
        if to_camel(folder) in installed
        for metric in metrics(source, rule.expression)
        if metric not in RARE
    }

    def lacking() -> set[tuple[str, str]]:
        exported = set(source.ask("/api/v1/label/__name__/values", {}).json()["data"])
        return {(name, metric) for name, metric in wanted if metric not in exported}

    with contextlib.suppress(AssertionError):  # the slowest group is evaluated once a minute
        wait_for(lambda: not lacking(), seconds=120, what="every metric that a rule asks for")
    assert not lacking()


QUIET_SECONDS = 600


@pytest.mark.timeout(1500)
def test_nobody_is_called_for_ten_minutes(source: Prometheus, closed: tuple[dict[str, Any], float]) -> None:
    """On a healthy platform, its loop closed, nothing fires, nor did at any moment since."""
    time.sleep(max(0.0, closed[1] + QUIET_SECONDS - time.time()))
    window = f"{QUIET_SECONDS}s"
    fired = source.now(f'max by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{window}]))', time.time())
    names = {each["metric"]["alertname"] for each in fired}
    assert names - (DISK if disk_is_almost_full() else set()) == ALWAYS_FIRING
    # And rules were evaluated all the while: of forty looks at the one that always fires hardly any missed it.
    looks = source.now(f'count_over_time(ALERTS{{alertname="Watchdog"}}[{window}:15s])', time.time())
    assert float(looks[0]["value"][1]) >= 38


RARE = {
    "kube_pod_container_status_waiting_reason": "only of containers that wait",
    "kube_pod_container_status_last_terminated_reason": "only of containers that died",
    "kube_job_failed": "only of Jobs that are over",
    "kubelet_volume_stats_available_bytes": "volumes of this cluster are folders of the node",
    "kubelet_volume_stats_capacity_bytes": "volumes of this cluster are folders of the node",
}
"""Metrics that a healthy platform need not have, and why."""


def metrics(source: Prometheus, expression: str) -> set[str]:
    """Return the metrics in a query, as Prometheus reads it."""

    def names(tree: Any) -> set[str]:
        if isinstance(tree, list):
            return set().union(*map(names, tree)) if tree else set()
        if not isinstance(tree, dict):
            return set()
        own = {tree["name"]} if tree.get("type") in {"vectorSelector", "matrixSelector"} else set()
        return own | names(list(tree.values()))

    return names(source.ask("/api/v1/parse_query", {"query": expression}).json()["data"])


def test_page_of_the_live_platform(platform: Platform, source: Prometheus, tmp_path: Any) -> None:
    assert source
    file = tmp_path / "dashboards.html"
    platform.mlops("dash", "--stack", platform.stack, "--html", str(file))
    assert file.read_text().count("<article") == sum(1 for each in DASHBOARDS.values() for _ in each.panels())


def test_grafana_says_why_it_is_not_there_or_shows_every_dashboard(platform: Platform, cluster: Cluster) -> None:
    told = engine.outputs(platform.stack)["grafana"]
    if "leftOut" in told:
        assert "mlops dash" in told["leftOut"]
        assert not platform.kubectl_json("get", "pods", "-n", "grafana")["items"]
        return
    health = cluster.ask(told["url"], "/api/health")
    assert health.good, health.text
    secret = platform.kubectl_json("get", "secret", "grafana-admin", "-n", "grafana")
    assert secret["data"]["password"]
