"""Plots as SVG: no script, and what each shows in words for readers that cannot see it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence

from components.grafana.dashboards.definition import Level, Panel
from mlops.dash import numbers
from mlops.dash.markup import Element, tag
from mlops.dash.reading import FLAT, Period, Reading, Series

__all__ = ["INKS", "lines", "spark", "swatch"]

INKS = 8
"""Series that a plot can tell apart: by colour, and by their dashes."""

WIDTH, HEIGHT = 640.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 78.0, 14.0, 10.0, 190.0

_DASHES = (None, "7 3", "2 3", "9 3 2 3", "14 4", "4 4", "1 4", "12 3 3 3")
_STEPS = [60 * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)]
_STEPS += [86400 * days for days in (1, 2, 7, 14, 30, 90)]
_TICKS = 6
_GAP = 1.5
"""Steps without a value that a line is not drawn across."""


def lines(reading: Reading, period: Period, name: str) -> Element:
    """Draw the first INKS series over time; `name` makes the ids of the page differ."""
    shown = reading.series[:INKS]
    low, high = _range(reading.panel, shown)

    def x(time: float) -> float:
        return LEFT + (time - period.start) / (period.end - period.start) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP)

    parts: list[Element] = [
        tag("title", reading.panel.title, id=f"{name}-title"),
        tag("desc", _told(reading, shown, period), id=f"{name}-desc"),
    ]
    ticks = [value for value in reading.panel.words if low <= value <= high] or list(
        _ticks(low, high, numbers.size(high, reading.panel.unit))
    )
    for value in ticks:
        parts.append(tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value)))
        label = numbers.value(reading.panel, value)
        parts.append(tag("text", label, class_="axis", x=LEFT - 6, y=y(value) + 4, text_anchor="end"))
    for time, label in _times(period):
        parts.append(tag("line", class_="grid", x1=x(time), x2=x(time), y1=TOP, y2=BOTTOM))
        parts.append(tag("text", label, class_="axis", x=x(time), y=BOTTOM + 17, text_anchor="middle"))
    for start, level in reading.panel.thresholds.steps if reading.panel.thresholds else ():
        if low <= start <= high:
            edge = {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": y(start), "y2": y(start)}
            parts.append(tag("line", class_=f"limit {_worse(reading.panel, start, level)}", **edge))
    for place, series in enumerate(shown):
        for run in _runs(series, period):
            if len(run) == 1:
                parts.append(tag("circle", class_=f"dot s{place}", cx=x(run[0][0]), cy=y(run[0][1]), r=2.5))
                continue
            route = " ".join(f"{x(time):.1f},{y(value):.1f}" for time, value in run)
            parts.append(tag("polyline", class_=f"line s{place}", points=route, stroke_dasharray=_DASHES[place]))
    return tag(
        "svg",
        parts,
        class_="plot",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def swatch(place: int) -> Element:
    """Return what a line looks like, for a legend; what it says stands beside it."""
    stroke = tag("line", class_=f"line s{place}", x1=1.0, x2=35.0, y1=5.0, y2=5.0, stroke_dasharray=_DASHES[place])
    return tag("svg", stroke, class_="swatch", viewBox="0 0 36 10", aria_hidden="true")


def spark(series: Series, period: Period) -> Element:
    """Draw one series small, beside its value, which says what matters."""
    known = [value for _, value in series.points]
    low, span = min(known), max(known) - min(known)
    if series.flat:
        low, span = low - 0.5, 1.0
    parts = []
    for run in _runs(series, period):
        route = " ".join(
            f"{(time - period.start) / (period.end - period.start) * 120:.1f},{26 - (value - low) / span * 24:.1f}"
            for time, value in run
        )
        parts.append(tag("polyline", class_="line s0", points=route))
    return tag("svg", parts, class_="spark", viewBox="0 0 120 28", aria_hidden="true", preserveAspectRatio="none")


def _range(panel: Panel, shown: Sequence[Series]) -> tuple[float, float]:
    """Return the ends of the value axis: what is drawn, zero where it is near, limits where they are near."""
    known = [value for series in shown for _, value in series.points]
    low, high = min(known), max(known)
    span = high - low
    for start, _ in panel.thresholds.steps if panel.thresholds else ():
        if low - max(span, abs(low)) <= start <= high + max(span, abs(high)):
            low, high = min(low, start), max(high, start)
    if 0 < low < 0.7 * high:
        low = 0.0
    if high - low < FLAT * max(abs(low), abs(high)) or low == high:
        low, high = (min(low, 0.0), max(high, 0.0)) if low else (0.0, 1.0)
    room = (high - low) * 0.05
    return (low if low == 0 else low - room), high + room


def _ticks(low: float, high: float, size: float) -> Iterator[float]:
    """Give round multiples of `size`."""
    rough = (high - low) / size / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = size * next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _times(period: Period) -> Iterator[tuple[float, str]]:
    seconds = period.end - period.start
    step = next((step for step in _STEPS if seconds / step <= _TICKS), _STEPS[-1])
    form = "%d %b" if step >= _STEPS[11] else "%d %b %H:%M" if seconds > _STEPS[11] else "%H:%M"
    for number in range(math.ceil(period.start / step), math.floor(period.end / step) + 1):
        yield number * step, dt.datetime.fromtimestamp(number * step, dt.UTC).strftime(form)


def _runs(series: Series, period: Period) -> Iterator[list[tuple[float, float]]]:
    """Give the parts of a series that have no gap."""
    run: list[tuple[float, float]] = []
    for point in series.points:
        if run and point[0] - run[-1][0] > _GAP * period.step:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _worse(panel: Panel, start: float, level: Level) -> Level:
    """Return the level on the worse side of a limit, which gives it its colour."""
    assert panel.thresholds is not None  # noqa: S101 (the caller has one of its steps)
    before = panel.thresholds.level(math.nextafter(start, -math.inf))
    return level if before is Level.GOOD else before


def _told(reading: Reading, shown: Sequence[Series], period: Period) -> str:
    def say(series: Series) -> str:
        values = [value for _, value in series.points]
        low, high = (numbers.value(reading.panel, end) for end in (min(values), max(values)))
        now = "ended" if series.last is None else f"now {numbers.value(reading.panel, series.last)}"
        return f"{series.name}: {now}, lowest {low}, highest {high}"

    more = len(reading.series) - len(shown)
    rest = f"; {more} more series are not drawn" if more else ""
    minutes = numbers.plain((period.end - period.start) / 60)
    return f"The last {minutes} minutes. {'; '.join(map(say, shown))}{rest}."
