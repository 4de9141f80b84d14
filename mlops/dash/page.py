"""Dashboards as one HTML file: nothing is loaded, no script runs, and it reads without colours too."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence
from importlib import resources

from components.grafana.dashboards.definition import Kind, Level
from mlops import console
from mlops.dash import numbers, plots
from mlops.dash.markup import Child, Element, tag, written
from mlops.dash.reading import Page, Period, Reading, Series

__all__ = ["page"]

ROWS = 30
"""Of a table; the rest is counted."""

_SIGNS = {Level.GOOD: console.OK, Level.WARN: console.WARNING, Level.BAD: console.FAILED}
_WORDS = {Level.GOOD: "good", Level.WARN: "look at it", Level.BAD: "bad"}


def page(pages: Sequence[Page], period: Period, source: str) -> str:
    """Return the page of some dashboards; `source` is where the values are from."""
    title = pages[0].dashboard.title if len(pages) == 1 else "Dashboards"
    end = dt.datetime.fromtimestamp(period.end, dt.UTC)
    start = dt.datetime.fromtimestamp(period.start, dt.UTC)
    links = [
        tag("li", tag("a", each.dashboard.title, href=f"#{each.dashboard.name}"), " ", _badge(_worst(each)))
        for each in pages
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title}, {end:%Y-%m-%d %H:%M} UTC"),
        tag("style", (resources.files("mlops.dash") / "page.css").read_text(encoding="utf-8")),
    )
    body = tag(
        "body",
        tag("a", "Skip to the panels", class_="skip", href="#panels"),
        tag(
            "header",
            tag("h1", "Dashboard" if len(pages) == 1 else title),
            tag("p", f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, from {source}", class_="soft"),
            tag("nav", tag("ul", links), aria_label="Dashboards") if len(pages) > 1 else None,
        ),
        tag("main", [_dashboard(each, period) for each in pages], id="panels"),
        tag("footer", tag("p", "Made by mlops dash. Times are UTC.")),
    )
    return written(tag("html", head, body, lang="en"))


def _dashboard(found: Page, period: Period) -> Element:
    name = found.dashboard.name
    parts: list[Child] = [
        tag("h2", found.dashboard.title, id=name),
        tag("p", found.dashboard.description, class_="soft"),
    ]
    for number, (title, readings) in enumerate(found.rows):
        parts.append(tag("h3", title))
        numbered = enumerate(readings)
        for _, group in itertools.groupby(numbered, lambda pair: pair[1].panel.kind is Kind.STAT):
            panels = [_panel(reading, period, f"{name}-{number}-{place}") for place, reading in group]
            parts.append(tag("div", panels, class_="grid-of-panels"))
    return tag("section", parts, aria_labelledby=name)


def _panel(reading: Reading, period: Period, name: str) -> Element:
    panel = reading.panel
    queries = [tag("code", query.expression) for query in panel.queries]
    return tag(
        "article",
        tag("h4", panel.title, id=name),
        _content(reading, period, name),
        tag("details", tag("summary", "What this shows"), tag("p", panel.description), queries),
        class_=f"panel {panel.kind}",
        aria_labelledby=name,
    )


def _content(reading: Reading, period: Period, name: str) -> list[Element]:
    if reading.missing:
        return [tag("p", reading.missing, class_="bad" if reading.refused else "missing")]
    match reading.panel.kind:
        case Kind.STAT:
            return [_stat(reading, series, period) for series in reading.series[:ROWS]]
        case Kind.LINES:
            return [plots.lines(reading, period, f"{name}-plot"), _legend(reading)]
        case Kind.BARS:
            return [_bars(reading)]
        case Kind.TABLE:
            return [_table(reading)]


def _stat(reading: Reading, series: Series, period: Period) -> Element:
    hidden = "hidden" if series.name == reading.panel.title else None  # it stands above
    value = tag("dd", numbers.NONE if series.last is None else numbers.value(reading.panel, series.last))
    return tag(
        "div",
        tag("dl", tag("dt", series.name, class_=hidden), value, _badge(series.level, "dd")),
        plots.spark(series, period),
        class_="now",
    )


def _legend(reading: Reading) -> Element:
    rows = []
    for place, series in enumerate(reading.series[:ROWS]):
        values = [value for _, value in series.points]
        drawn = plots.swatch(place) if place < plots.INKS else tag("span", "not drawn", class_="soft")
        rows.append(
            tag(
                "tr",
                tag("td", drawn),
                tag("td", series.name),
                _now(reading, series),
                *(tag("td", numbers.value(reading.panel, end), class_="number") for end in (min(values), max(values))),
            )
        )
    return _tabular(("line", "series", "now", "lowest", "highest"), rows, len(reading.series), numeric=3)


def _bars(reading: Reading) -> Element:
    most = max((series.last or 0.0 for series in reading.series), default=0.0)
    rows = []
    for series in reading.series[:ROWS]:
        share = max(series.last or 0.0, 0.0) / most * 100 if most > 0 else 0.0
        bar = tag("rect", class_=series.level, x=0.0, y=0.0, height=10.0, width=share)
        drawn = tag("svg", bar, viewBox="0 0 100 10", preserveAspectRatio="none", aria_hidden="true")
        rows.append(tag("tr", tag("td", series.name), tag("td", drawn, class_="bar"), _now(reading, series)))
    return _tabular(("series", "share of the largest", "now"), rows, len(reading.series), numeric=1)


def _table(reading: Reading) -> Element:
    labels = list(dict.fromkeys(key for series in reading.series for key in series.labels))
    rows = [
        tag("tr", [tag("td", series.labels.get(label, "")) for label in labels], _now(reading, series))
        for series in reading.series[:ROWS]
    ]
    return _tabular((*labels, "value"), rows, len(reading.series), numeric=1)


def _tabular(heads: Sequence[str], rows: Sequence[Element], total: int, *, numeric: int) -> Element:
    first = len(heads) - numeric
    head = [
        tag("th", text, scope="col", class_="number" if place >= first else None) for place, text in enumerate(heads)
    ]
    more = tag("p", f"… and {total - len(rows)} more", class_="soft") if total > len(rows) else None
    table = tag("table", tag("thead", tag("tr", head)), tag("tbody", rows))
    # Whoever uses a keyboard has to be able to reach what scrolls.
    return tag("div", table, more, class_="scroll", tabindex="0", role="group", aria_label="Values")


def _now(reading: Reading, series: Series) -> Element:
    text = numbers.NONE if series.last is None else numbers.value(reading.panel, series.last)
    badge = _badge(series.level) if series.level not in {None, Level.GOOD} else None
    return tag("td", badge, " " if badge is not None else None, text, class_="number")


def _badge(level: Level | None, name: str = "span") -> Element | None:
    """Say how good something is in a sign and a word, not by its colour alone."""
    if level is None:
        return None
    return tag(name, f"{_SIGNS[level]} {_WORDS[level]}", class_=f"level {level}")


def _worst(found: Page) -> Level | None:
    return _worst_of(list(_levels(found)))


def _levels(found: Page) -> Iterator[Level]:
    for reading in found.readings():
        if reading.refused:
            yield Level.BAD
        elif reading.level:
            yield reading.level


def _worst_of(levels: Sequence[Level]) -> Level | None:
    return next((level for level in (Level.BAD, Level.WARN, Level.GOOD) if level in levels), None)
