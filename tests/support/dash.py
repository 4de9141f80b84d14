"""A Prometheus that says what a test tells it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.grafana.dashboards.definition import Dashboard, Kind, Panel, Row, Unit, one
from mlops.dash.prometheus import Prometheus
from mlops.dash.reading import Page, Period, Reading, read
from mlops.loop.cluster import Answer

__all__ = ["PERIOD", "panel", "prometheus", "reading", "readings"]

PERIOD = Period(1_800_000_000, 1_800_003_600)
"""120 points, half a minute apart."""

Values = Mapping[str, list[tuple[dict[str, str], list[float | str]]]]
"""Series by query: labels, and values that end at the end of the period."""


def prometheus(values: Values, refused: Mapping[str, str] | None = None) -> Prometheus:
    def ask(path: str, query: Mapping[str, str]) -> Answer:
        expression = query["query"]
        if refused and expression in refused:
            return Answer(400, {}, json.dumps({"status": "error", "error": refused[expression]}))
        result: list[dict[str, Any]] = []
        for labels, numbers in values.get(expression, []):
            times = [PERIOD.end - PERIOD.step * (len(numbers) - 1 - place) for place in range(len(numbers))]
            points = [[time, str(number)] for time, number in zip(times, numbers, strict=True) if number != "gap"]
            key, told = ("values", points) if path.endswith("query_range") else ("value", points[-1])
            result.append({"metric": labels, key: told})
        kind = "matrix" if path.endswith("query_range") else "vector"
        return Answer(200, {}, json.dumps({"data": {"resultType": kind, "result": result}}))

    return Prometheus("http://prometheus.example", ask)


def panel(kind: Kind = Kind.LINES, **fields: Any) -> Panel:
    given = {"title": "Some panel", "description": "What it is.", "unit": Unit.NUMBER, "queries": one("x", "{{pod}}")}
    return Panel(kind=kind, **(given | fields))


def readings(values: Values, *panels: Panel, refused: Mapping[str, str] | None = None) -> Page:
    dashboard = Dashboard("trial", "Trial", "Does it work?", (Row("A row", panels),))
    return read(prometheus(values, refused), dashboard, PERIOD)


def reading(values: Values, one: Panel, refused: Mapping[str, str] | None = None) -> Reading:
    (found,) = readings(values, one, refused=refused).readings()
    return found
