"""Reports as Markdown. What others wrote is escaped, so that it is text and never a link, an image or HTML."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cabc.report.pages import age, moment, shown, weblink
from cabc.report.types import ReportView
from cabc.report.wording import label, words
from cabc.text import one_line

__all__ = ["escaped", "markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~!$@&{}^=]|(?<=www)\.|(?<=:)/)", re.IGNORECASE)
"""Everything that begins a construct of Markdown, of its tables and footnotes, an autolink, math or an entity."""


def escaped(text: object) -> Markup:
    """Return text on one line, for a place that is not the beginning of a line."""
    plain = _SPECIAL.sub(r"\\\1", one_line(str(text), limit=4000))
    return Markup(plain)  # noqa: S704 (Markdown: it is escaped for that here)


def markdown(report: ReportView) -> bytes:
    """Return the report as Markdown."""
    template = _environment().get_template("report.md.j2")
    title = label(report.specification.mode, report.status.status)[1]
    text = template.render(report=report, headline=title)
    return (re.sub(r"\n{3,}", "\n\n", text).strip() + "\n").encode()


def _finalize(value: Any) -> Markup:
    return value if isinstance(value, Markup) else escaped(value)


def _anchor(title: str, url: str | None) -> Markup:
    target = weblink(url)
    if target is None or re.search(r"[\s<>()\\]", target):
        return escaped(title)
    return Markup(f"[{escaped(title)}](<{target}>)")  # noqa: S704 (escaped; the address has no delimiter)


@cache
def _environment() -> Environment:
    # Escaping is this module's own, for Markdown: every value that is printed goes through `_finalize`.
    made = Environment(
        loader=PackageLoader("cabc.report", "templates"),
        autoescape=False,  # noqa: S701 (not HTML; see `_finalize`)
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(age=age, moment=moment, shown=shown, words=words, anchor=_anchor)
    return made
