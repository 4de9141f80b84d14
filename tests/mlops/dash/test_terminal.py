"""Dashboards in a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from components.grafana.dashboards.definition import Kind, above
from mlops.dash.reading import Series
from mlops.dash.terminal import drawn, overview, sparkline
from tests.support.dash import PERIOD, panel, readings


def text(found: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=160).print(found)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def line(lines: list[str], word: str) -> str:
    (found,) = [each for each in lines if word in each]
    return found


def series(*values: float, times: list[float] | None = None) -> Series:
    points = tuple(zip(times or range(len(values)), values, strict=True))
    return Series("s", {}, points, values[-1], None)


def test_sparkline_goes_from_lowest_to_highest() -> None:
    assert sparkline(series(0, 1, 2, 3, 4, 5, 6, 7), 8) == "▁▂▃▄▅▆▇█"


def test_sparkline_of_noise_is_flat() -> None:
    assert sparkline(series(100, 100.2, 99.9, 100), 4) == "▄▄▄▄"


def test_sparkline_has_a_gap_where_there_is_no_value() -> None:
    assert sparkline(series(1, 5, times=[0, 10]), 5) == "▁   █"


def test_sparkline_of_one_point_is_one_sign() -> None:
    assert sparkline(series(4), 24) == "▄"


def test_panel_shows_its_value_and_how_good_it_is() -> None:
    page = readings({"x": [({"pod": "a"}, [0, 0.5]), ({"pod": "b"}, [1, 2])]}, panel(thresholds=above(1, 2)))
    lines = text(drawn(page, PERIOD))
    assert "✖" in line(lines, " b ")
    assert "✔" in line(lines, " a ")
    assert "0.5" in line(lines, " a ")
    assert "Trial" in lines[0]


def test_title_stands_once_and_the_rest_is_counted() -> None:
    page = readings({"x": [({"pod": f"pod-{number}"}, [number]) for number in range(11)]}, panel())
    lines = text(drawn(page, PERIOD))
    assert sum("Some panel" in each for each in lines) == 1
    assert "… and 3 more" in "\n".join(lines)


def test_panel_without_series_says_why() -> None:
    assert "no data" in line(text(drawn(readings({}, panel()), PERIOD)), "Some panel")


def test_overview_shows_only_what_is_amiss() -> None:
    good = panel(Kind.STAT, title="Fine", queries=panel().queries, thresholds=above(10))
    bad = panel(title="Amiss", thresholds=above(1, 2))
    values = {"x": [({"pod": "a"}, [0.0]), ({"pod": "b"}, [3.0])]}
    lines = text(overview([readings(values, good, bad)], PERIOD))
    assert not any("Fine" in each for each in lines)
    assert " b " in line(lines, "trial: Amiss")
    assert not any(" a " in each for each in lines if "trial" in each)
    assert line(lines, "trial   ").split() == ["✖", "trial", "2", "1", "0"]


def test_overview_of_a_healthy_platform_lists_nothing() -> None:
    lines = text(overview([readings({"x": [({"pod": "a"}, [0.0])]}, panel(thresholds=above(1)))], PERIOD))
    assert "To look at" not in "\n".join(lines)


@pytest.mark.parametrize("sign", ["✖"])
def test_refused_query_is_amiss(sign: str) -> None:
    page = readings({}, panel(), refused={"x": "parse error"})
    lines = text(overview([page], PERIOD))
    assert sign in line(lines, "trial: Some panel")
    assert "parse error" in line(lines, "trial: Some panel")
