"""Every query, asked of a real Prometheus that has seen a platform."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from components.grafana.dashboards import DASHBOARDS
from mlops.dash import prometheus
from mlops.dash.reading import Period, read
from tests.support import synthetic_platform
from tests.support.metric_names import exists, known

pytestmark = pytest.mark.backend

QUERIES = [
    pytest.param(query.expression, id=f"{dashboard.name}: {panel.title} {number}")
    for dashboard in DASHBOARDS.values()
    for panel in dashboard.panels()
    for number, query in enumerate(panel.queries)
]


def selectors(tree: Any) -> Iterator[str]:
    """Give the names of the metrics in a parsed query."""
    if isinstance(tree, dict):
        if tree.get("type") == "vectorSelector":
            yield tree["name"]
        if tree.get("type") == "matrixSelector":
            yield tree["name"]
        for inner in tree.values():
            yield from selectors(inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from selectors(inner)


def metrics(story: str, expression: str) -> set[str]:
    """Return the metrics that Prometheus finds in a query."""
    answer = httpx.get(f"{story}/api/v1/parse_query", params={"query": expression})
    assert answer.status_code == 200, answer.text
    return set(selectors(answer.json()["data"]))


@pytest.fixture(scope="module")
def names(story: str) -> set[str]:
    """Give every metric that there is, with what Prometheus tells of itself."""
    with urllib.request.urlopen(f"{story}/metrics") as page:  # noqa: S310 (our own server)
        lines = page.read().decode().splitlines()
    return known() | {line.split()[2] for line in lines if line.startswith("# TYPE ")}


@pytest.mark.parametrize("expression", QUERIES)
def test_query_parses_and_asks_for_metrics_that_exist(story: str, names: set[str], expression: str) -> None:
    asked = metrics(story, expression)
    assert asked
    assert not {name for name in asked if not exists(name, names)}


def test_a_renamed_metric_is_noticed(story: str, names: set[str]) -> None:
    assert {name for name in metrics(story, "rate(model_requests_seconds_count[5m])") if not exists(name, names)}


def test_the_story_tells_only_what_exists(names: set[str]) -> None:
    assert not {name for name in synthetic_platform.series() if not exists(name, names)}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_values(story: str, name: str) -> None:
    now = synthetic_platform.end_of(story)
    page = read(prometheus.at(story), DASHBOARDS[name], Period(now - 3600, now))
    assert {reading.panel.title: reading.missing for reading in page.readings() if reading.missing} == {}


def test_money_is_resources_times_price(story: str) -> None:
    now = synthetic_platform.end_of(story)
    source = prometheus.at(story)
    (cost,) = (panel for panel in DASHBOARDS["cost"].panels() if panel.title == "Reserved by namespace, per hour")
    found = {each["metric"]["namespace"]: each for each in source.now(cost.queries[0].expression, now)}
    # 0.4 GiB and 0.05 cores, and 1.3 times as much asked for.
    assert float(found["mlflow"]["value"][1]) == pytest.approx(1.3 * (0.05 * 0.032 + 0.4 * 0.0043))
    assert found["mlflow"]["metric"]["currency"] == "USD"


def test_a_run_that_ended_costs_nothing(story: str) -> None:
    source = prometheus.at(story)
    (cost,) = (panel for panel in DASHBOARDS["cost"].panels() if panel.title == "Reserved by namespace, per hour")
    ended = cost.queries[0].expression.replace('phase="Running"', 'phase="Succeeded"')
    assert source.now(ended, synthetic_platform.end_of(story)) == []
