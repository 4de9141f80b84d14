"""Shapes of plots and badges as SVG text. Every attribute and every text is escaped here and nowhere else."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from cabc.report.tokens import tokens
from cabc.report.wording import tone

__all__ = [
    "BOTTOM",
    "LEFT",
    "PRINT",
    "RIGHT",
    "SCREEN",
    "TOP",
    "WIDTH",
    "Ink",
    "Scale",
    "TimeAxis",
    "cross",
    "dot",
    "figure",
    "label",
    "line",
    "tag",
]

WIDTH = 720
LEFT = 118
RIGHT = 16
TOP = 18
BOTTOM = 150
_DAY = 86400
_STEPS = [60 * minutes for minutes in (1, 5, 15, 30, 60, 180, 360, 720)]
_STEPS += [_DAY * days for days in (1, 2, 7, 14, 30, 91, 182, 365, 1826)]
_TICKS = 7
"""So many labels of a time axis fit side by side."""


@dataclass(frozen=True, slots=True)
class Ink:
    """Colours by role, and the font of labels."""

    ink: str
    soft: str
    line: str
    paper: str
    good: str
    warn: str
    bad: str
    gone: str
    mute: str
    font: str
    size: int = 12
    """Height of labels, in units of a plot that is 720 wide."""

    def tone(self, value: str) -> str:
        """Return the colour of a status or verdict."""
        return str(getattr(self, tone(value)))


def _ink(colour: Callable[[str], str], font: str) -> Ink:
    return Ink(
        ink=colour("ink"),
        soft=colour("soft"),
        line=colour("line"),
        paper=colour("paper"),
        good=colour("good"),
        warn=colour("warn"),
        bad=colour("bad"),
        gone=colour("gone"),
        mute=colour("mute"),
        font=font,
    )


SCREEN = _ink("var(--{})".format, "inherit")
"""Follows the page's light or dark theme."""
PRINT = _ink(tokens().__getitem__, "Libertinus Serif")
"""Fixed light colours, for PDF and for files that stand alone."""


def tag(name: str, content: object = "", /, **attributes: object) -> Markup:
    """Return an element; attribute names take a dash for an underscore, fractions get one place."""
    pairs = [
        f' {key.replace("_", "-")}="{escape(f"{value:.1f}" if isinstance(value, float) else value)}"'
        for key, value in attributes.items()
    ]
    return Markup(f"<{name}{''.join(pairs)}>{escape(content)}</{name}>")  # noqa: S704 (all parts are escaped above)


def figure(height: float, title: str, description: str, parts: Iterable[Markup], ink: Ink) -> Markup:
    """Return a whole plot with what it shows in words."""
    told = tag("title", title) + tag("desc", description)
    return tag(
        "svg",
        told + Markup("").join(parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {math.ceil(height)}",
        role="img",
        aria_label=f"{title}: {description}",
        font_family=ink.font,
    )


def line(begin: tuple[float, float], end: tuple[float, float], colour: str, width: float = 1.0, **more: str) -> Markup:
    """Return a straight line."""
    ends = {"x1": begin[0], "y1": begin[1], "x2": end[0], "y2": end[1]}
    return tag("line", **{key: float(value) for key, value in ends.items()}, stroke=colour, stroke_width=width, **more)


def label(x: float, y: float, text: str, ink: Ink, anchor: str = "middle") -> Markup:
    """Return a text beside a mark."""
    return tag("text", text, x=float(x), y=float(y), font_size=ink.size, text_anchor=anchor, fill=ink.soft)


def dot(x: float, y: float, colour: str, paper: str) -> Markup:
    """Return the mark of a value that is as wanted."""
    return tag("circle", cx=float(x), cy=float(y), r=4.5, fill=colour, stroke=paper, stroke_width=1.5)


def cross(x: float, y: float, colour: str) -> Markup:
    """Return the mark of a value that is not as wanted."""
    return tag("path", d=f"M{x - 4.5:.1f} {y - 4.5:.1f}l9 9m0-9l-9 9", fill="none", stroke=colour, stroke_width=2.4)


class TimeAxis:
    """Places instants between the left and the right edge."""

    def __init__(self, begin: dt.datetime, end: dt.datetime) -> None:
        self.begin = begin
        self.seconds = max((end - begin).total_seconds(), 1.0)

    def x(self, at: dt.datetime) -> float:
        """Return the place of an instant; those outside lie on the edge."""
        share = (at - self.begin).total_seconds() / self.seconds
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(share, 0.0), 1.0)

    def ticks(self, top: float, bottom: float, ink: Ink) -> list[Markup]:
        """Return lines at round times with their labels, at least the beginning's."""
        step = next((step for step in _STEPS if self.seconds / step <= _TICKS), _STEPS[-1])
        parts: list[Markup] = []
        labels: list[Markup] = []
        second = math.ceil(self.begin.timestamp() / step) * step
        while second <= self.begin.timestamp() + self.seconds:
            at = dt.datetime.fromtimestamp(second, dt.UTC)
            x = self.x(at)
            parts.append(line((x, top), (x, bottom), ink.line))
            if LEFT + 20 < x < WIDTH - RIGHT - 20:
                labels.append(label(x, bottom + 17, at.strftime(self._form(step)), ink))
            second += step
        return [*parts, *(labels or [label(LEFT, bottom + 17, f"{self.begin:%d %b %Y %H:%M}", ink, "start")])]

    def _form(self, step: int) -> str:
        if step >= 30 * _DAY:
            return "%b %Y"
        if step >= _DAY:
            return "%d %b"
        return "%H:%M" if self.seconds < _DAY else "%d %b %H:%M"


class Scale:
    """Places values between bottom and top, with round ticks."""

    def __init__(self, values: Sequence[float]) -> None:
        low, high = min(values), max(values)
        room = (high - low) * 0.12 or abs(high) * 0.1 or 1.0
        self.low, self.high = low - room, high + room

    def y(self, value: float) -> float:
        """Return the place of a value."""
        return BOTTOM - (BOTTOM - TOP) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return two to five round values."""
        raw = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= raw * 0.999)
        return [index * step for index in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
