"""The formats of a report by name."""

from __future__ import annotations

import json
from typing import Literal, get_args

from cabc.report.types import ReportView

__all__ = ["FORMATS", "Format", "render", "schema"]

Format = Literal["html", "pdf", "md", "json", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)


def render(report: ReportView, format_: Format) -> bytes:
    """Return a report in a format."""
    match format_:
        case "html":
            from cabc.report.html import html

            return html(report)
        case "pdf":
            from cabc.report.pdf import pdf

            return pdf(report)
        case "md":
            from cabc.report.markdown import markdown

            return markdown(report)
        case "csv":
            from cabc.report.table import table

            return table(report)
        case "json":
            body = report.model_dump(mode="json", by_alias=True)
            return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def schema() -> str:
    """Return the JSON schema of the `json` format."""
    made = ReportView.model_json_schema(by_alias=True, mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **made}, indent=2) + "\n"
