"""What Prometheus says to each panel."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.grafana.dashboards.definition import Dashboard, Kind, Level, Panel, Query
from mlops.dash.prometheus import Prometheus, RefusedError

__all__ = ["FLAT", "Page", "Period", "Reading", "Series", "read"]

POINTS = 120
"""Of a series over time."""

STEP = 15.0
"""Seconds between points at least: nothing is scraped much more often."""

FLAT = 0.01
"""Of its size."""

_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")

_ORDER = (Level.GOOD, Level.WARN, Level.BAD)


@dataclass(frozen=True)
class Period:
    """The time that is looked at, in seconds since 1970."""

    start: float
    end: float

    @property
    def step(self) -> float:
        """Seconds between two points."""
        return max((self.end - self.start) / POINTS, STEP)


@dataclass(frozen=True)
class Series:
    """One series with its finite values."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Time and value; at least one."""

    last: float | None
    """The value at the end of the period; None when it ended before."""

    level: Level | None
    """How good the last value is."""

    @property
    def flat(self) -> bool:
        """Tell whether it varies by less than a hundredth of its size: noise that is not to be blown up."""
        values = [value for _, value in self.points]
        return max(values) - min(values) <= FLAT * max(map(abs, values))


@dataclass(frozen=True)
class Reading:
    """A panel with its series, largest last value first."""

    panel: Panel
    series: tuple[Series, ...]
    missing: str | None
    """Why there are none."""

    refused: bool = False
    """Prometheus does not take the query."""

    @property
    def level(self) -> Level | None:
        """The worst of its series."""
        found = [series.level for series in self.series if series.level]
        return max(found, key=_ORDER.index) if found else None


@dataclass(frozen=True)
class Page:
    """A dashboard with what Prometheus says to it."""

    dashboard: Dashboard
    rows: tuple[tuple[str, tuple[Reading, ...]], ...]

    def readings(self) -> Iterator[Reading]:
        """Give the readings in the order of the page."""
        for _, readings in self.rows:
            yield from readings


def read(prometheus: Prometheus, dashboard: Dashboard, period: Period) -> Page:
    """Ask everything that a dashboard asks. Raises OperationError when Prometheus does not answer."""
    return Page(
        dashboard,
        tuple(
            (row.title, tuple(_reading(prometheus, panel, period) for panel in row.panels)) for row in dashboard.rows
        ),
    )


def _reading(prometheus: Prometheus, panel: Panel, period: Period) -> Reading:
    found: list[Series] = []
    answered = 0
    for query in panel.queries:
        try:
            series = _ask(prometheus, panel.kind, query, period)
        except RefusedError as error:
            return Reading(panel, (), f"Prometheus refuses the query: {error}", refused=True)
        answered += len(series)
        found += _series(panel, query, series, period)
    missing = None
    if not found:
        missing = "no value: nothing happened to compute it from" if answered else "no data: no series answers this"
    if panel.kind is not Kind.STAT:  # numbers stand in the order in which the panel asks for them
        found.sort(key=lambda series: -math.inf if series.last is None else series.last, reverse=True)
    return Reading(panel, tuple(found), missing)


def _ask(prometheus: Prometheus, kind: Kind, query: Query, period: Period) -> list[dict[str, Any]]:
    if kind in {Kind.STAT, Kind.LINES}:
        return prometheus.over(query.expression, period.start, period.end, period.step)
    return prometheus.now(query.expression, period.end)


def _series(panel: Panel, query: Query, answer: Sequence[Mapping[str, Any]], period: Period) -> Iterator[Series]:
    for each in answer:
        labels = {key: value for key, value in each["metric"].items() if key != "__name__"}
        samples = each.get("values") or [each["value"]]
        points = tuple((float(time), float(text)) for time, text in samples if math.isfinite(float(text)))
        if not points:
            continue
        time, value = points[-1]
        # The last step of a period need not fall on its end.
        last = value if time > period.end - 1.5 * period.step else None
        yield Series(
            name=_name(query.legend, labels) or panel.title,
            labels=labels,
            points=points,
            last=last,
            level=panel.level(last) if query.judged and last is not None else None,
        )


def _name(legend: str, labels: Mapping[str, str]) -> str:
    return _LABEL.sub(lambda match: labels.get(match[1], ""), legend).strip()
