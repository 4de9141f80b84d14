"""Dashboards as Grafana gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard as Read

from components.grafana.dashboards import DASHBOARDS
from components.grafana.dashboards.definition import Dashboard, Kind, Level, Panel, Row, Unit, above, one, words
from components.grafana.rendering import METRICS, render

BOXES = {"stat": Kind.STAT, "timeseries": Kind.LINES, "bargauge": Kind.BARS, "table": Kind.TABLE}


def page(*panels: Panel) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(Dashboard("x", "X", "Is it x?", (Row("r", panels),))))
    return found


def panels(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in found["panels"] if panel["type"] != "row"]


def simple(kind: Kind = Kind.STAT, **fields: Any) -> Panel:
    return Panel(
        **{"title": "T", "description": "D.", "kind": kind, "unit": Unit.NUMBER, "queries": one("up")} | fields
    )


@pytest.mark.parametrize("name", DASHBOARDS)
def test_everything_that_is_defined_is_there(name: str) -> None:
    found = json.loads(render(DASHBOARDS[name]))
    for made, defined in zip(panels(found), DASHBOARDS[name].panels(), strict=True):
        assert made["title"] == defined.title
        assert made["description"] == defined.description
        assert BOXES[made["type"]] is defined.kind
        assert made["fieldConfig"]["defaults"]["unit"] == defined.unit
        assert made["datasource"]["uid"] == METRICS
        assert [target["expr"] for target in made["targets"]] == [query.expression for query in defined.queries]
        assert all(target["legendFormat"] for target in made["targets"])
        assert len({target["refId"] for target in made["targets"]}) == len(made["targets"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_schema_reads_it_back(name: str) -> None:
    text = render(DASHBOARDS[name])
    read = Read.from_json(json.loads(text))
    assert read.uid == f"mlops-{name}"
    assert render(DASHBOARDS[name]) == text


@pytest.mark.parametrize("name", DASHBOARDS)
def test_lines_of_panels_are_as_wide_as_the_page_and_none_overlaps(name: str) -> None:
    cells: set[tuple[int, int]] = set()
    ids: set[int] = set()
    for panel in json.loads(render(DASHBOARDS[name]))["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells
        assert place["x"] + place["w"] <= 24
        cells |= own
        ids.add(panel["id"])
    assert len(cells) % 24 == 0
    assert len(ids) == len(json.loads(render(DASHBOARDS[name]))["panels"])


def test_panels_are_narrowed_by_any_label() -> None:
    (variable,) = page(simple())["templating"]["list"]
    assert variable["type"] == "adhoc"
    assert variable["datasource"]["uid"] == METRICS


def test_thresholds_and_words_have_colours() -> None:
    judged, named, plain = panels(
        page(
            simple(thresholds=above(1, 2)),
            simple(unit=Unit.STATE, words=words(gone=(0, Level.BAD))),
            simple(),
        )
    )
    steps = judged["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [(step["value"], step["color"]) for step in steps] == [(None, "green"), (1, "orange"), (2, "red")]
    (mapping,) = named["fieldConfig"]["defaults"]["mappings"]
    assert mapping["options"]["0"]["text"] == "gone"
    assert mapping["options"]["0"]["color"] == "red"
    # Without steps of ours Grafana would take its own, and call everything above 80 bad.
    assert len(plain["fieldConfig"]["defaults"]["thresholds"]["steps"]) == 1


def test_what_is_shown_as_of_now_is_asked_once() -> None:
    found = panels(page(simple(Kind.BARS), simple(Kind.TABLE), simple(Kind.STAT), simple(Kind.LINES)))
    asked = {panel["type"]: (panel["targets"][0]["instant"], panel["targets"][0]["range"]) for panel in found}
    assert asked == {
        "stat": (False, True),
        "bargauge": (True, False),
        "table": (True, False),
        "timeseries": (False, True),
    }
