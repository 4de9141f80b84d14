"""Reports as PDF by Typst, tagged and archivable. Data goes in as JSON, only fonts inside Typst are used."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from importlib.resources import as_file, files
from typing import Any

import typst

from cabc.record.types import Status, Verdict
from cabc.report.html import figures
from cabc.report.pages import age, moment, weblink
from cabc.report.plots import PRINT
from cabc.report.tokens import tokens
from cabc.report.types import ReportView
from cabc.report.wording import label, tone, words

__all__ = ["pages", "pdf"]

_MARKS = {"good": "✓", "warn": "△", "bad": "×", "gone": "⊘", "mute": "–"}  # noqa: RUF001 (signs, not letters)
_STANDARDS: Any = ["a-2a", "ua-1"]
_LEAVES = 300
"""So many leaves a PDF shows, failing ones first: laying out thousands takes minutes, and nobody reads it."""


def pdf(report: ReportView) -> bytes:
    """Return the report as tagged PDF/A-2a and PDF/UA-1; the same report gives the same bytes."""
    made: bytes = _compile(
        report, format="pdf", pdf_standards=_STANDARDS, timestamp=report.assessment.ended.replace(microsecond=0)
    )
    return made


def pages(report: ReportView, *, ppi: float = 110) -> list[bytes]:
    """Return the pages as PNG images."""
    made = _compile(report, format="png", ppi=ppi)
    return made if isinstance(made, list) else [made]


def _compile(report: ReportView, **options: Any) -> Any:
    fonts = typst.Fonts(include_system_fonts=False)
    with as_file(files("cabc.report") / "assets") as folder:
        compiler = typst.Compiler(root=folder, font_paths=fonts, sys_inputs={"data": json.dumps(_data(report))})
        return compiler.compile((folder / "report.typ").read_bytes(), **options)


def _data(report: ReportView) -> dict[str, Any]:
    body = report.model_dump(mode="json", by_alias=True)
    body["leaves"] = body["leaves"][:_LEAVES]
    if body["leaves"]:
        shown = {leaf["path"] for leaf in body["leaves"]}
        body["findings"] = [found for found in body["findings"] if shown.intersection(found["leaves"])]
    # An executive's plots stand side by side, half as large.
    plots = figures(report, replace(PRINT, size=17) if report.reader == "executive" else PRINT)
    states = {risk.state for risk in report.risks}
    kept = [found for found in body["findings"] if found["requirement"] in {p.requirement for p in report.problems}]
    return {
        "report": body,
        "title": f"{report.subject.name}: {words(report.status.status)} ({report.reader} report)",
        "headline": label(report.specification.mode, report.status.status)[1],
        "problems": kept,
        "sources": [
            source.model_dump(mode="json") | {"link": weblink(source.url)} for source in report.specification.sources
        ],
        "tiles": _tiles(report),
        "omitted": max(len(report.leaves) - _LEAVES, 0),
        "tones": {name: tone(name) for name in [*Status, *Verdict, *states]},
        "marks": _MARKS,
        "ink": tokens("light"),
        "plots": {
            "status": plots.status or None,
            "verdicts": plots.verdicts or None,
            "leaves": plots.leaves,
        },
        "moments": {text: moment(dt.datetime.fromisoformat(text)) for text in set(_instants(body))},
        "ages": {str(seconds): age(seconds) for seconds in _ages(report)},
    }


def _tiles(report: ReportView) -> list[tuple[str, str]]:
    kept = sum(found.verdict is Verdict.SATISFIED for found in report.findings)
    open_ = sum(risk.state not in {"reduced", "waived"} for risk in report.risks)
    return [
        (f"{kept} of {len(report.findings)}", "requirements satisfied"),
        *(
            (str(count), f"measurement{'s' if count != 1 else ''} {words(verdict)}")
            for verdict, count in report.counts.items()
        ),
        (f"{open_} of {len(report.risks)}", "risks open"),
    ]


def _instants(part: Any) -> list[str]:
    """Return every text of the body that is an instant, so that all are shown in one form."""
    if isinstance(part, dict):
        return [text for value in part.values() for text in _instants(value)]
    if isinstance(part, list):
        return [text for value in part for text in _instants(value)]
    return [part] if isinstance(part, str) and part[:2] == "20" and part[-1:] == "Z" and "T" in part else []


def _ages(report: ReportView) -> set[int]:
    ages = {leaf.age_seconds for leaf in report.leaves} - {None}
    ages |= {kept.age_seconds for leaf in report.leaves for kept in leaf.evidence}
    return {seconds for seconds in ages if seconds is not None}
