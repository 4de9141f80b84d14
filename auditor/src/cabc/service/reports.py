"""Reports and evidence as files, for API and pages alike."""

from __future__ import annotations

from typing import Literal

from fastapi import Response

from cabc.record.types import Assessment
from cabc.report.formats import render
from cabc.report.types import Reader
from cabc.report.view import view
from cabc.service.access import Permission, Principal
from cabc.service.problems import ProblemError
from cabc.service.state import State

__all__ = ["Format", "answer", "evidence"]

Format = Literal["html", "pdf", "md", "json", "csv"]
_MEDIA = {
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "md": "text/markdown; charset=utf-8",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
}
_SEALED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; sandbox"
"""A report stands alone and has its style in itself; nothing in it may run or load."""


def answer(state: State, assessment: Assessment, by: Principal, reader: Reader, wanted: Format) -> Response:
    """Return a report; the auditor's has confidential details."""
    if reader == "auditor" and not by.may(Permission.READ_CONFIDENTIAL, assessment.subject.name):
        raise ProblemError(403, f"The auditor's report asks for the permission {Permission.READ_CONFIDENTIAL}.")
    report = view(
        state.record,
        assessment.id,
        reader=reader,
        document=state.documents.at(assessment.specification),
    )
    name = f"{assessment.subject.name}-{assessment.id}-{reader}.{wanted}".replace('"', "")
    how = "inline" if wanted == "html" else "attachment"
    return Response(
        render(report, wanted),
        media_type=_MEDIA[wanted],
        headers={"Content-Security-Policy": _SEALED, "Content-Disposition": f'{how}; filename="{_plain(name)}"'},
    )


def evidence(state: State, assessment: Assessment, digest: str) -> Response:
    """Return stored bytes that this assessment used, always as a download."""
    collection = state.record.collection(assessment.collection)
    for leaf in collection.leaves if collection else ():
        for kept in (leaf.value, leaf.target):
            if kept is not None and kept.digest == digest:
                body = state.record.evidence_body(digest)
                if body is None:
                    raise ProblemError(410, "Retention dropped these bytes; their digest stays in the record.")
                return Response(
                    body,
                    media_type="application/octet-stream",  # whatever it is, no browser may show or run it
                    headers={
                        "Content-Security-Policy": _SEALED,
                        "Content-Disposition": f'attachment; filename="{digest.replace(":", "-")}"',
                    },
                )
    raise ProblemError(404, "This assessment has no evidence with this digest.")


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in name if letter.isascii())
