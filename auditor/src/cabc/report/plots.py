"""Plots made on the server: no script, and what each shows in words for readers that cannot see it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from cabc.record.types import Status, Verdict
from cabc.report.svg import (
    BOTTOM,
    LEFT,
    PRINT,
    RIGHT,
    SCREEN,
    TOP,
    WIDTH,
    Ink,
    Scale,
    TimeAxis,
    cross,
    dot,
    figure,
    label,
    line,
    tag,
)
from cabc.report.wording import words

__all__ = ["PRINT", "SCREEN", "Bar", "Ink", "Point", "Step", "status_plot", "value_plot", "verdict_plot"]

_STATUSES = [Status.CONFORMANT, Status.CONDITIONAL, Status.SUSPENDED, Status.REVOKED, Status.NONE]
_VERDICTS = [
    Verdict.SATISFIED,
    Verdict.NEEDS_REVIEW,
    Verdict.ERROR,
    Verdict.NOT_SATISFIED,
    Verdict.NOT_EVALUATED,
    Verdict.NOT_APPLICABLE,
]
_LABELS = 7
"""So many labels below the bars fit side by side."""


class Step(NamedTuple):
    """From `at` on the status is this."""

    at: dt.datetime
    status: Status


class Bar(NamedTuple):
    """The number of leaves with each verdict in one assessment."""

    at: dt.datetime
    counts: Mapping[Verdict, int]


class Point(NamedTuple):
    """A measured value and what it was judged; None when it could not be had."""

    at: dt.datetime
    value: float | None
    verdict: Verdict


def status_plot(steps: Sequence[Step], until: dt.datetime, *, ink: Ink = SCREEN) -> Markup:
    """Draw the status over time, oldest step first, up to an instant."""
    if not steps:
        return Markup()
    rows = [status for status in _STATUSES if status is not Status.NONE or any(s.status is status for s in steps)]
    y = {status: 22 + 30 * row for row, status in enumerate(rows)}
    axis = TimeAxis(steps[0].at, until)
    parts: list[Markup] = []
    for status in rows:
        parts.append(line((LEFT, y[status]), (WIDTH - RIGHT, y[status]), ink.line))
        parts.append(label(LEFT - 12, y[status] + 4, words(status).capitalize(), ink, "end"))
    parts += axis.ticks(12, y[rows[-1]] + 12, ink)
    last = steps[-1]
    for step, after in pairwise([*steps, Step(until, last.status)]):
        begin, end = axis.x(step.at), axis.x(after.at)
        parts.append(line((end, y[step.status]), (end, y[after.status]), ink.soft, 1.2))
        parts.append(line((begin, y[step.status]), (end, y[step.status]), ink.tone(step.status), 5))
    parts.append(dot(axis.x(until), y[last.status], ink.tone(last.status), ink.paper))
    told = "; ".join(f"{words(step.status)} from {step.at:%Y-%m-%d %H:%M}" for step in steps[-12:])
    return figure(46 + 30 * len(rows), "Conformity status over time", told, parts, ink)


def verdict_plot(bars: Sequence[Bar], *, ink: Ink = SCREEN) -> Markup:
    """Draw the number of leaves with each verdict per assessment, oldest first."""
    most = max((sum(bar.counts.values()) for bar in bars), default=0)
    if not most:
        return Markup()
    top, bottom = 36, BOTTOM + 10
    used = [verdict for verdict in _VERDICTS if any(bar.counts.get(verdict) for bar in bars)]
    parts = _legend(used, ink)
    for share in (0, 0.5, 1) if most % 2 == 0 else (0, 1):
        y = bottom - (bottom - top) * share
        parts.append(line((LEFT, y), (WIDTH - RIGHT, y), ink.line))
        parts.append(label(LEFT - 8, y + 4, f"{most * share:g}", ink, "end"))
    slot = (WIDTH - LEFT - RIGHT) / max(len(bars), 4)
    every = math.ceil(len(bars) / _LABELS * ink.size / 12)
    for index, bar in enumerate(bars):
        x, y = LEFT + slot * (index + 0.5), float(bottom)
        for verdict in used:
            size = (bottom - top) * bar.counts.get(verdict, 0) / most
            width = min(slot * 0.7, 46.0)
            parts += [_block((x - width / 2, y - size), (width, size), verdict, ink)] if size else []
            y -= size
        if (len(bars) - 1 - index) % every == 0:
            parts.append(label(min(x, WIDTH - RIGHT - 2.9 * ink.size), bottom + 17, f"{bar.at:%d %b %H:%M}", ink))
    last = bars[-1].counts
    told = ", ".join(f"{last[verdict]} {words(verdict)}" for verdict in used if last.get(verdict))
    return figure(bottom + 28, "Verdicts per assessment", f"{len(bars)} assessments; in the last {told}", parts, ink)


def value_plot(
    points: Sequence[Point],
    *,
    title: str,
    unit: str | None = None,
    low: float | None = None,
    high: float | None = None,
    ink: Ink = SCREEN,
) -> Markup:
    """Draw values over time, oldest first, against the allowed band: `low` and `high` are its ends, None is open."""
    known = [(point, point.value) for point in points if point.value is not None and math.isfinite(point.value)]
    if not known:
        return Markup()
    axis = TimeAxis(points[0].at, points[-1].at)
    scale = Scale([*(value for _, value in known), *(end for end in (low, high) if end is not None)])
    parts = _band(low, high, scale, ink)
    for tick in scale.ticks():
        parts.append(line((LEFT, scale.y(tick)), (WIDTH - RIGHT, scale.y(tick)), ink.line, 0.8))
        text = f"{tick:.6g} {unit}" if unit else f"{tick:.6g}"
        parts.append(label(LEFT - 8, scale.y(tick) + 4, text[:18], ink, "end"))
    parts += axis.ticks(TOP, BOTTOM, ink)
    places = [(axis.x(point.at), scale.y(value), point.verdict) for point, value in known]
    route = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    parts.append(tag("polyline", points=route, fill="none", stroke=ink.soft, stroke_width=1.8))
    for x, y, verdict in places:
        parts.append(dot(x, y, ink.good, ink.paper) if verdict is Verdict.SATISFIED else cross(x, y, ink.bad))
    parts += [cross(axis.x(point.at), BOTTOM, ink.warn) for point in points if point.value is None]
    ends = [f"{word} {end:g}" for word, end in (("from", low), ("to", high)) if end is not None]
    allowed = f"; allowed {' '.join(ends)}" if ends else ""
    return figure(BOTTOM + 28, title, f"{len(points)} values, the last {known[-1][1]:g}{allowed}", parts, ink)


def _band(low: float | None, high: float | None, scale: Scale, ink: Ink) -> list[Markup]:
    if low is None and high is None:
        return []
    upper = float(TOP) if high is None else scale.y(high)
    lower = float(BOTTOM) if low is None else scale.y(low)
    size = {"x": float(LEFT), "y": upper, "width": float(WIDTH - LEFT - RIGHT), "height": max(lower - upper, 1.5)}
    edges = [y for end, y in ((low, lower), (high, upper)) if end is not None]
    return [
        tag("rect", **size, fill=ink.good, fill_opacity="0.1"),
        *(line((LEFT, y), (WIDTH - RIGHT, y), ink.good, 1.4, stroke_dasharray="6 4") for y in edges),
    ]


def _block(place: tuple[float, float], size: tuple[float, float], verdict: Verdict, ink: Ink) -> Markup:
    """Draw one part of a bar; the bodies differ in darkness, so that they differ without colour."""
    body = {Verdict.SATISFIED: "1", Verdict.NOT_SATISFIED: "0.7"}.get(verdict, "0.25")
    box = {"x": place[0], "y": place[1] + 0.8, "width": float(size[0]), "height": max(size[1] - 1.6, 0.8)}
    colour = ink.tone(verdict)
    return tag("rect", **box, fill=colour, fill_opacity=body, stroke=colour, stroke_width=1.5)


def _legend(verdicts: Sequence[Verdict], ink: Ink) -> list[Markup]:
    parts: list[Markup] = []
    x = float(LEFT)
    for verdict in verdicts:
        parts += [_block((x, 6.0), (12.0, 13.6), verdict, ink), label(x + 18, 17, words(verdict), ink, "start")]
        x += 40 + 0.53 * ink.size * len(verdict)
    return parts
