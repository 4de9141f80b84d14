"""Reports as HTML that stands alone: no script, nothing loaded, every text escaped, plots inline."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from cabc.report.pages import environment, inline_style
from cabc.report.plots import SCREEN, Bar, Ink, Point, Step, status_plot, value_plot, verdict_plot
from cabc.report.types import ReportView

__all__ = ["Figures", "figures", "html"]


@dataclass(frozen=True)
class Figures:
    """The plots of a report."""

    status: Markup
    verdicts: Markup
    leaves: dict[str, Markup] = field(default_factory=dict)
    """By path of the leaf."""


def html(report: ReportView) -> bytes:
    """Return the report as one file."""
    style, source = inline_style()
    template = _environment().get_template("report.html.j2")
    text = template.render(report=report, figures=figures(report), style=style, style_source=Markup(source))  # noqa: S704 (a digest)
    return text.encode()


def figures(report: ReportView, ink: Ink = SCREEN) -> Figures:
    """Draw the plots of a report."""
    until = max([report.assessment.ended, *(step.since for step in report.history[-1:])])
    plots = {
        leaf.path: value_plot(
            [Point(point.at, point.value, point.verdict) for point in leaf.points],
            title=leaf.name or leaf.path,
            unit=leaf.unit,
            low=leaf.low,
            high=leaf.high,
            ink=ink,
        )
        for leaf in report.leaves
        if leaf.points
    }
    return Figures(
        status_plot([Step(step.since, step.status) for step in report.history], until, ink=ink),
        verdict_plot([Bar(point.at, point.counts) for point in report.trend], ink=ink),
        {path: plot for path, plot in plots.items() if plot},
    )


@cache
def _environment() -> Environment:
    return environment(PackageLoader("cabc.report", "templates"))
