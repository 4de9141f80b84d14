"""The leaves of a report as CSV, in which no cell can be a formula."""

from __future__ import annotations

import csv
import io
import re

from cabc.report.types import LeafView, ReportView

__all__ = ["neutral", "table"]

_FORMULA = re.compile(r"^\s*[=+\-@|%\t\r\n]")
_COLUMNS = [
    "path",
    "requirement",
    "verdict",
    "confidential",
    "critical",
    "found",
    "wanted",
    "reason",
    "source",
    "collected",
    "age_seconds",
    "interface",
    "evidence",
]


def table(report: ReportView) -> bytes:
    """Return one line for each leaf that the reader sees; UTF-8 with a mark, which spreadsheets need to know it."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for leaf in report.leaves:
        writer.writerow([_cell(leaf, column) for column in _COLUMNS])
    return b"\xef\xbb\xbf" + stream.getvalue().encode()


def neutral(text: str) -> str:
    """Return text that a spreadsheet shows and never computes: an apostrophe in front of what begins a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def _cell(leaf: LeafView, column: str) -> str:
    if column == "evidence":
        return " ".join(kept.digest for kept in leaf.evidence)
    value = getattr(leaf, column)
    if value is None:
        return ""
    return neutral(value.isoformat() if hasattr(value, "isoformat") else str(value))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text) is not None
