"""What every dashboard and every panel keeps to."""

from __future__ import annotations

import re

import pytest

from components._core import paths
from components.grafana.dashboards import DASHBOARDS
from components.grafana.dashboards.definition import (
    Dashboard,
    Kind,
    Level,
    Panel,
    Query,
    Row,
    Unit,
    above,
    below,
    one,
    words,
)

PANELS = [(dashboard, panel) for dashboard in DASHBOARDS.values() for panel in dashboard.panels()]
IDS = [f"{dashboard.name}: {panel.title}" for dashboard, panel in PANELS]

each_panel = pytest.mark.parametrize(("dashboard", "panel"), PANELS, ids=IDS)


def test_the_seven_are_there() -> None:
    assert list(DASHBOARDS) == ["platform", "serving", "quality", "fairness", "pipelines", "audit", "cost"]


def test_titles_are_unique_in_a_dashboard() -> None:
    assert len(set(IDS)) == len(IDS)


@each_panel
def test_panel_says_what_it_shows(dashboard: Dashboard, panel: Panel) -> None:
    assert dashboard.description
    assert panel.unit in Unit
    assert re.fullmatch(r"[A-Z0-9].*\.", panel.description, re.DOTALL), "a description is made of sentences"
    assert len(panel.description) > len(panel.title)
    assert panel.queries


@each_panel
def test_series_can_be_told_apart(dashboard: Dashboard, panel: Panel) -> None:
    assert dashboard
    legends = [query.legend for query in panel.queries]
    assert len(set(legends)) == len(legends)
    for query in panel.queries:
        grouped = {label for labels in re.findall(r"by \(([^)]*)\)", query.expression) for label in labels.split(", ")}
        named = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        recorded = re.match(r"[\w]+:", query.expression)
        assert recorded or named <= grouped | {"currency"}, "a legend names labels that the query keeps"


@each_panel
def test_states_have_words(dashboard: Dashboard, panel: Panel) -> None:
    assert dashboard
    assert (panel.unit is Unit.STATE) == bool(panel.words)
    assert not (panel.words and panel.thresholds)


@each_panel
def test_windows_are_written_out(dashboard: Dashboard, panel: Panel) -> None:
    assert dashboard
    assert not any("$" in query.expression for query in panel.queries)


def test_numbers_come_first_in_a_row() -> None:
    for dashboard in DASHBOARDS.values():
        for row in dashboard.rows:
            stats = [panel.kind is Kind.STAT for panel in row.panels]
            assert stats == sorted(stats, reverse=True)


def panel(kind: Kind, title: str) -> Panel:
    return Panel(title, "x.", kind, Unit.NUMBER, one("up"))


def test_row_keeps_the_order_of_each_sort() -> None:
    row = Row("r", (panel(Kind.LINES, "a"), panel(Kind.STAT, "b"), panel(Kind.TABLE, "c"), panel(Kind.STAT, "d")))
    assert [each.title for each in row.panels] == ["b", "d", "a", "c"]


@pytest.mark.parametrize(
    ("value", "small", "large"),
    [
        (0.5, Level.GOOD, Level.BAD),
        (0.8, Level.WARN, Level.WARN),
        (0.85, Level.WARN, Level.WARN),
        (0.9, Level.BAD, Level.GOOD),
        (1, Level.BAD, Level.GOOD),
    ],
)
def test_thresholds_judge_from_their_values_on(value: float, small: Level, large: Level) -> None:
    assert above(0.8, 0.9).level(value) is small
    assert below(0.9, 0.8).level(value) is large


def test_thresholds_may_have_one_step() -> None:
    assert above(None, 1).level(1) is Level.BAD
    assert above(1).level(5) is Level.WARN
    assert below(None, 1).level(0) is Level.BAD
    assert below(None, 1).level(1) is Level.GOOD


def test_words_come_before_thresholds() -> None:
    state = Panel("t", "d.", Kind.STAT, Unit.STATE, one("x"), words=words(not_there=(0, Level.BAD)))
    assert state.level(0) is Level.BAD
    assert state.level(7) is None
    assert state.words[0][0] == "not there"


def test_queries_are_judged_unless_said_otherwise() -> None:
    assert Query("x", "x").judged


def test_page_of_documentation_names_every_dashboard() -> None:
    text = (paths.CHECKOUT / "docs" / "how-to" / "read-the-dashboards.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(DASHBOARDS)
