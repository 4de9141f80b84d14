"""`mlops dash` as a person uses it, on a real Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from typer.testing import CliRunner, Result

from components.grafana.dashboards import DASHBOARDS
from mlops.dash.cli import app
from mlops.errors import OperationError, UsageError
from tests.support.chromium import chromium

backend = pytest.mark.backend


def dash(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def failure(*arguments: str) -> BaseException | None:
    return dash(*arguments).exception


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_unknown_dashboard_is_answered_with_those_there_are() -> None:
    error = failure("costs", "--url", "http://127.0.0.1:1")
    assert isinstance(error, UsageError)
    assert "cost" in str(error.fix)


@pytest.mark.parametrize("since", ["1", "h", "0h", "-1h", "1w", "1.5h", "100000h"])
def test_time_that_is_none_is_refused(since: str) -> None:
    assert isinstance(failure("--url", "http://127.0.0.1:1", f"--since={since}"), UsageError)


def test_ways_to_show_exclude_each_other(tmp_path: Path) -> None:
    error = failure("--url", "http://127.0.0.1:1", "--json", "--html", str(tmp_path / "x.html"))
    assert isinstance(error, UsageError)


def test_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = failure("--kubeconfig", str(tmp_path / "none"))
    assert isinstance(error, OperationError)
    assert "none" in str(error.message)


@backend
@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_in_a_terminal(story: str, name: str) -> None:
    done = dash(name, "--url", story)
    assert done.exit_code == 0, done.exception
    for panel in DASHBOARDS[name].panels():
        assert panel.title in done.output


@backend
def test_all_of_them_say_what_is_amiss(story: str) -> None:
    done = dash("--url", story)
    assert done.exit_code == 0
    assert "platform: Targets" in done.output
    assert "fairness: Disparate impact" in done.output


@backend
def test_json_has_every_series(story: str) -> None:
    found: dict[str, Any] = json.loads(dash("--url", story, "--json", "--since", "30m").stdout)
    assert [each["name"] for each in found["dashboards"]] == list(DASHBOARDS)
    assert found["end"] - found["start"] == pytest.approx(1800)
    panels = {panel["title"]: panel for each in found["dashboards"] for row in each["rows"] for panel in row["panels"]}
    (status,) = panels["Status"]["series"]
    assert status["labels"] == {"subject": "loan-approval"}
    assert status["last"] == 1
    assert status["level"] == panels["Status"]["level"] == "warn"
    assert len(status["points"]) > 100


@backend
def test_page_in_a_folder_that_is_not_there_is_told(story: str, tmp_path: Path) -> None:
    error = failure("cost", "--url", story, "--html", str(tmp_path / "none" / "x.html"))
    assert isinstance(error, UsageError)


@backend
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_in_a_browser(story: str, browser: Browser, tmp_path: Path, scheme: Any) -> None:
    file = tmp_path / "dashboards.html"
    assert dash("--url", story, "--html", str(file)).exit_code == 0
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1360, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert page.locator("article").count() == sum(1 for each in DASHBOARDS.values() for _ in each.panels())
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    context.close()
