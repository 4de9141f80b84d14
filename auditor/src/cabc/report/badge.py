"""The conformity status as a badge: a picture, and the answer that Shields makes one from."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from cabc.report.svg import tag
from cabc.report.tokens import tokens
from cabc.report.types import ReportView
from cabc.report.wording import label, tone

__all__ = ["badge_json", "badge_svg"]

_WIDTHS = (
    "35 44 51 92 70 105 86 30 43 43 55 92 35 40 35 37 70 70 70 70 70 70 70 70 70 70 37 37 92 92 92 58 110 75 75 77 85"
    " 70 63 85 83 32 32 72 61 95 82 87 66 87 76 70 67 81 75 109 75 67 75 43 37 43 92 55 55 67 70 60 70 68 39 70 70 31"
    " 31 64 31 107 70 67 70 70 45 57 43 70 65 90 65 65 58 70 37 70 92"
)
_ADVANCE = dict(zip(map(chr, range(32, 127)), map(int, _WIDTHS.split()), strict=True))
"""Tenths of a pixel that each letter takes at 11 px in DejaVu Sans, which Verdana matches."""
_ROOM = 10.0


def badge_json(report: ReportView) -> dict[str, Any]:
    """Return the answer of a Shields endpoint."""
    left, right = label(report.specification.mode, report.status.status)
    color = tokens()[tone(report.status.status)]
    return {"schemaVersion": 1, "label": left, "message": right, "color": color, "cacheSeconds": 300}


def badge_svg(report: ReportView) -> bytes:
    """Return the badge as a picture that stands alone."""
    left, right = label(report.specification.mode, report.status.status)
    texts = (_width(left), _width(right))
    first, second = (text + _ROOM for text in texts)
    ink = tokens()
    parts = [
        tag("title", f"{left}: {right}"),
        tag("rect", rx=3, width=first + second, height=20, fill=ink[tone(report.status.status)]),
        tag("path", d=f"M3 0h{first - 3:.1f}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z", fill="#3a434d"),
        _text(left, first / 2, texts[0]),
        _text(right, first + second / 2, texts[1]),
    ]
    made = tag(
        "svg",
        Markup().join(parts),
        xmlns="http://www.w3.org/2000/svg",
        width=first + second,
        height=20,
        role="img",
        aria_label=f"{left}: {right}",
    )
    return f"{made}\n".encode()


def _width(text: str) -> float:
    return sum(_ADVANCE.get(letter, 110) for letter in text) / 10


def _text(text: str, middle: float, width: float) -> Markup:
    # The length is fixed, so that the text fills its half in whatever font the reader has.
    return tag(
        "text",
        text,
        x=middle,
        y=14,
        fill="#fff",
        text_anchor="middle",
        textLength=width,
        font_family="Verdana,DejaVu Sans,Geneva,sans-serif",
        font_size=11,
    )
