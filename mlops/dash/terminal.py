"""Dashboards in a terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from components.grafana.dashboards.definition import Kind, Level
from mlops import console
from mlops.dash import numbers
from mlops.dash.reading import Page, Period, Reading, Series

__all__ = ["drawn", "overview", "show", "sparkline"]

SHOWN = 8
"""Series of a panel; the rest is counted."""

WIDTH = 24
"""Characters of a sparkline."""

WIDE = 160
"""Columns where there is no terminal."""

_BLOCKS = "▁▂▃▄▅▆▇█"

_SIGNS = {
    Level.GOOD: (console.OK, "green"),
    Level.WARN: (console.WARNING, "yellow"),
    Level.BAD: (console.FAILED, "red"),
}


def show(found: RenderableType) -> None:
    """Print to the result's place; what is not a terminal has no width to keep to."""
    out = console.out if console.out.is_terminal else Console(file=console.out.file, width=WIDE)
    out.print(found)


def drawn(page: Page, period: Period) -> RenderableType:
    """Return one dashboard."""
    parts: list[RenderableType] = [_head(page.dashboard.title, page.dashboard.description, period)]
    for title, readings in page.rows:
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, expand=True)
        table.add_column("", width=1)
        table.add_column("panel", style="bold", ratio=3)
        table.add_column("", ratio=5)
        table.add_column("now", justify="right", no_wrap=True, min_width=10)
        table.add_column("over time", no_wrap=True, width=WIDTH)
        for reading in readings:
            _add(table, reading)
        parts += [Text(), table]
    return Group(*parts)


def overview(pages: Sequence[Page], period: Period) -> RenderableType:
    """Return what needs to be looked at, over all dashboards."""
    parts: list[RenderableType] = [_head("All dashboards", "what is not as it should be", period), Text()]
    table = Table(box=None, pad_edge=False)
    for heading in ("", "dashboard", "panels", "to look at", "without data"):
        table.add_column(heading, justify="right" if heading in {"panels", "to look at", "without data"} else "left")
    look: list[tuple[Page, Reading]] = []
    for page in pages:
        readings = list(page.readings())
        here = [reading for reading in readings if reading.refused or reading.level in {Level.WARN, Level.BAD}]
        look += [(page, reading) for reading in here]
        empty = sum(reading.missing is not None for reading in readings)
        bad = any(reading.refused or reading.level is Level.BAD for reading in here)
        sign = _sign(Level.BAD if bad else Level.WARN if here else Level.GOOD)
        table.add_row(sign, page.dashboard.name, str(len(readings)), str(len(here)), str(empty))
    parts.append(table)
    if look:
        found = Table(
            title="To look at", title_justify="left", title_style="bold", box=None, pad_edge=False, expand=True
        )
        found.add_column("", width=1)
        found.add_column("panel", style="bold", ratio=3)
        found.add_column("", ratio=5)
        found.add_column("now", justify="right", no_wrap=True, min_width=10)
        found.add_column("over time", no_wrap=True, width=WIDTH)
        for page, reading in look:
            _add(found, reading, prefix=f"{page.dashboard.name}: ", only=(Level.WARN, Level.BAD))
        parts += [Text(), found]
    return Group(*parts)


def _head(title: str, description: str, period: Period) -> Text:
    end = dt.datetime.fromtimestamp(period.end, dt.UTC)
    seconds = period.end - period.start
    line = Text()
    line.append(title, style="bold underline")
    line.append(f"  {description}  ")
    line.append(f"{end:%Y-%m-%d %H:%M:%S} UTC, the last {numbers.plain(seconds / 60)} min", style="dim")
    return line


def _add(table: Table, reading: Reading, *, prefix: str = "", only: Sequence[Level] = ()) -> None:
    title = prefix + reading.panel.title
    if reading.missing:
        table.add_row(_sign(Level.BAD if reading.refused else None), title, Text(reading.missing, style="dim"), "", "")
        return
    chosen = [series for series in reading.series if not only or series.level in only]
    for place, series in enumerate(chosen[:SHOWN]):
        now = numbers.NONE if series.last is None else numbers.value(reading.panel, series.last)
        style = _SIGNS[series.level][1] if series.level else ""
        over = sparkline(series, WIDTH) if reading.panel.kind in {Kind.STAT, Kind.LINES} else ""
        name = "" if series.name == reading.panel.title else series.name
        table.add_row(_sign(series.level), "" if place else title, Text(name), Text(now, style=style), Text(over))
    if len(chosen) > SHOWN:
        table.add_row("", "", Text(f"… and {len(chosen) - SHOWN} more", style="dim"), "", "")


def _sign(level: Level | None) -> Text:
    sign, style = _SIGNS[level] if level else (" ", "")
    return Text(sign, style=style)


def sparkline(series: Series, width: int) -> str:
    """Return the series in `width` characters, a space where it has no value; flat is in the middle."""
    begin, end = series.points[0][0], series.points[-1][0]
    if begin == end:
        return _BLOCKS[3]
    slots: list[list[float]] = [[] for _ in range(width)]
    for time, value in series.points:
        slots[min(int((time - begin) / (end - begin) * width), width - 1)].append(value)
    means = [sum(slot) / len(slot) if slot else None for slot in slots]
    known = [mean for mean in means if mean is not None]
    low, span = min(known), max(known) - min(known)
    return "".join(
        " " if mean is None else _BLOCKS[3] if series.flat else _BLOCKS[min(int((mean - low) / span * 8), 7)]
        for mean in means
    )
