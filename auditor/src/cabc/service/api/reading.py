"""Subjects, their specification, assessments, findings, history."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Security

from cabc.record.types import Assessment, Status
from cabc.report.types import (
    FAILING,
    AttestationView,
    FindingView,
    LeafView,
    Reader,
    ReportView,
    StatusStep,
    WaiverView,
)
from cabc.report.view import view
from cabc.service.access import Permission, Principal
from cabc.service.api.models import Specification, SubjectDetail, WhoAmI
from cabc.service.api.paging import Cursor, Limit, Page, place, slice_page
from cabc.service.api.paging import cursor as next_cursor
from cabc.service.dependencies import Caller, StateOf, Subject, allowed
from cabc.service.live import SubjectSummary, live, summaries, summary, tree
from cabc.service.problems import ProblemError
from cabc.service.spoken import attestations_of, history_of, waivers_of
from cabc.service.state import State

__all__ = ["AssessmentId", "Reading", "found_assessment", "reader_of", "router"]

router = APIRouter(tags=["reading"])
Reading = Annotated[Principal, Security(allowed(Permission.READ))]
AssessmentId = Annotated[str, Path(max_length=200, description="Id of an assessment of this subject.")]
RequirementPath = Annotated[str, Path(max_length=500, description="Path of a requirement.")]


def reader_of(caller: Principal) -> Reader:
    """Return as whom the caller reads: confidential details are the auditing party's and the auditee's."""
    return "auditor" if Permission.READ_CONFIDENTIAL in caller.permissions else "engineer"


def found_assessment(state: State, subject: str, assessment: str) -> Assessment:
    """Return an assessment of this subject, and of no other."""
    found = state.record.assessment(assessment)
    if found is None or found.subject.name != subject:
        raise ProblemError(404, f"{subject} has no assessment with this id.")
    return found


def seen(state: State, subject: str, assessment: str, caller: Principal) -> ReportView:
    """Return what the caller may see of an assessment."""
    found = found_assessment(state, subject, assessment)
    return view(state.record, found.id, reader=reader_of(caller), document=state.documents.at(found.specification))


@router.get("/whoami", summary="Who the caller is and may do")
def whoami(caller: Caller) -> WhoAmI:
    return WhoAmI(
        name=caller.name,
        roles=sorted(caller.roles),
        permissions=sorted(caller.permissions),
        subjects=sorted(caller.subjects),
    )


@router.get("/subjects", summary="Subjects, what fails first")
def subjects(  # noqa: PLR0917 (FastAPI gives them by name)
    state: StateOf,
    caller: Reading,
    q: Annotated[str, Query(max_length=100, description="Part of a name.")] = "",
    failing: Annotated[bool, Query(description="Only those that somebody has to look at.")] = False,  # noqa: FBT002 (a query parameter)
    status: Annotated[Status | None, Query(description="Only those with this status.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SubjectSummary]:
    mine = [name for name in state.subjects() if caller.sees(name) and q.lower() in name]
    found = [
        item
        for item in summaries(state, mine)
        if (item.failing or not failing) and (status is None or item.status is status)
    ]
    items, after = slice_page(found, cursor, limit, lambda item: item.name)
    return Page[SubjectSummary](items=items, next=after)


@router.get("/subjects/{subject}", summary="One subject")
def subject(subject: Subject, state: StateOf, caller: Reading) -> SubjectDetail:
    short = summary(state, subject)
    known = live(state, subject, reader_of(caller))
    specification = known.document.specification if known else None
    return SubjectDetail(
        **{name: getattr(short, name) for name in SubjectSummary.model_fields},
        specification=specification.id if specification else None,
        specification_version=specification.version if specification else None,
        specification_digest=known.document.digest if known else None,
        failing_requirements=sorted(
            path for path, found in (known.findings if known else {}).items() if found.verdict in FAILING
        ),
    )


@router.get("/subjects/{subject}/specification", summary="The specification with its latest verdicts")
def specification(subject: Subject, state: StateOf, caller: Reading) -> Specification:
    known = live(state, subject, reader_of(caller))
    if known is None:
        raise ProblemError(404, f"{subject} has no document here and was never assessed.")
    guarded = reader_of(caller) != "auditor"
    whole = known.document.specification
    return Specification(
        id=whole.id,
        version=whole.version,
        name=whole.id if whole.confidential and guarded else whole.name or whole.id,
        digest=known.document.digest,
        mode=whole.mode,
        dimensions=tree(known, guarded=guarded),
    )


@router.get("/subjects/{subject}/assessments", summary="Assessments, the latest first")
def assessments(
    subject: Subject, state: StateOf, _: Reading, limit: Limit = 50, cursor: Cursor = None
) -> Page[Assessment]:
    before = found_assessment(state, subject, place(cursor)).id if cursor else None
    found = state.record.assessments(subject, limit=limit + 1, before=before)
    return Page[Assessment](items=found[:limit], next=next_cursor(found[limit - 1].id) if len(found) > limit else None)


@router.get("/subjects/{subject}/assessments/{assessment}", summary="One assessment")
def assessment(subject: Subject, assessment: AssessmentId, state: StateOf, _: Reading) -> Assessment:
    return found_assessment(state, subject, assessment)


@router.get("/subjects/{subject}/assessments/{assessment}/observations", summary="Outcomes at the leaves")
def observations(  # noqa: PLR0917 (FastAPI gives them by name)
    subject: Subject,
    assessment: AssessmentId,
    state: StateOf,
    caller: Reading,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[LeafView]:
    leaves = seen(state, subject, assessment, caller).leaves
    items, after = slice_page(leaves, cursor, limit, lambda item: item.path)
    return Page[LeafView](items=items, next=after)


@router.get("/subjects/{subject}/assessments/{assessment}/findings", summary="Outcomes of the requirements")
def findings(  # noqa: PLR0917 (FastAPI gives them by name)
    subject: Subject,
    assessment: AssessmentId,
    state: StateOf,
    caller: Reading,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[FindingView]:
    found = seen(state, subject, assessment, caller).findings
    items, after = slice_page(found, cursor, limit, lambda item: item.requirement)
    return Page[FindingView](items=items, next=after)


@router.get(
    "/subjects/{subject}/assessments/{assessment}/findings/{requirement:path}", summary="Outcome of one requirement"
)
def finding(
    subject: Subject, assessment: AssessmentId, requirement: RequirementPath, state: StateOf, caller: Reading
) -> FindingView:
    for found in seen(state, subject, assessment, caller).findings:
        if found.requirement == requirement:
            return found
    raise ProblemError(404, "This assessment has no requirement with this path.")


@router.get("/subjects/{subject}/history", summary="Changes of the status, the latest first")
def history(
    subject: Subject, state: StateOf, caller: Reading, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> list[StatusStep]:
    return history_of(state, subject, reader_of(caller), limit=limit)


@router.get("/subjects/{subject}/waivers", summary="Waivers")
def waivers(
    subject: Subject, state: StateOf, caller: Reading, only: Literal["in-force", "all"] = "all"
) -> list[WaiverView]:
    found = waivers_of(state, subject, reader_of(caller))
    return [item for item in found if only == "all" or item.state == "in force"]


@router.get("/subjects/{subject}/attestations", summary="Attestations")
def attestations(subject: Subject, state: StateOf, caller: Reading) -> list[AttestationView]:
    return attestations_of(state, subject, reader_of(caller))
