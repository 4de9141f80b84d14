"""Reports, documents and evidence of an assessment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, Security

from cabc.report.types import Reader
from cabc.service import reports
from cabc.service.access import Permission, Principal
from cabc.service.api.reading import AssessmentId, Reading, found_assessment
from cabc.service.dependencies import StateOf, Subject, allowed
from cabc.service.problems import ProblemError

__all__ = ["router"]

router = APIRouter(tags=["reports"])
BYTES = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/subjects/{subject}/assessments/{assessment}/report",
    summary="A report for a reader, as a file",
    response_class=Response,
    responses={
        200: {
            "description": "The report.",
            "content": {
                "text/html": BYTES,
                "application/pdf": BYTES,
                "text/markdown": BYTES,
                "text/csv": BYTES,
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
def report(  # noqa: PLR0917 (FastAPI gives them by name)
    subject: Subject,
    assessment: AssessmentId,
    state: StateOf,
    caller: Reading,
    reader: Annotated[Reader, Query()] = "engineer",
    format: Annotated[reports.Format, Query()] = "html",  # noqa: A002 (what people know the parameter as)
) -> Response:
    return reports.answer(state, found_assessment(state, subject, assessment), caller, reader, format)


@router.get(
    "/subjects/{subject}/assessments/{assessment}/evidence/{digest}",
    summary="Bytes that were collected, as they are stored",
    response_class=Response,
    responses={200: {"description": "The bytes.", "content": {"application/octet-stream": BYTES}}},
)
def evidence(
    subject: Subject,
    assessment: AssessmentId,
    digest: Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$")],
    state: StateOf,
    _: Annotated[Principal, Security(allowed(Permission.READ_EVIDENCE))],
) -> Response:
    return reports.evidence(state, found_assessment(state, subject, assessment), digest)


@router.get(
    "/subjects/{subject}/assessments/{assessment}/specification",
    summary="The specification that was used, as it was written",
    response_class=Response,
    responses={200: {"description": "The document.", "content": {"application/yaml": BYTES}}},
)
def specification(
    subject: Subject,
    assessment: AssessmentId,
    state: StateOf,
    _: Annotated[Principal, Security(allowed(Permission.READ_CONFIDENTIAL))],
) -> Response:
    text = state.record.document(found_assessment(state, subject, assessment).specification)
    if text is None:
        raise ProblemError(404, "The record does not hold this document.")
    return Response(text, media_type="application/yaml", headers={"Content-Disposition": "attachment"})
