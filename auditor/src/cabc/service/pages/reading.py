"""Board, specification, history, finding, report."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import RedirectResponse

from cabc.report.html import figures
from cabc.report.types import Reader
from cabc.report.view import view
from cabc.service import reports
from cabc.service.access import Permission
from cabc.service.api.reading import found_assessment, reader_of
from cabc.service.dependencies import StateOf, Subject
from cabc.service.live import live, summaries, summary, tree
from cabc.service.pages.login import SignedIn, check, session_of
from cabc.service.pages.rendering import page
from cabc.service.problems import ProblemError
from cabc.service.sessions import Session
from cabc.service.spoken import attestations_of, history_of, waivers_of

__all__ = ["router"]

router = APIRouter()


@router.get("/")
def start(session: Annotated[Session | None, Depends(session_of)]) -> Response:
    return RedirectResponse("/subjects" if session else "/status", 303)


@router.get("/subjects")
def board(
    state: StateOf,
    session: SignedIn,
    q: Annotated[str, Query(max_length=100)] = "",
    failing: Annotated[bool, Query()] = False,  # noqa: FBT002 (a query parameter)
) -> Response:
    if Permission.READ not in session.principal.permissions:
        raise ProblemError(403, f"This asks for the permission {Permission.READ}.")
    mine = summaries(state, [name for name in state.subjects() if session.principal.sees(name)])
    shown = [item for item in mine if q.lower() in item.name and (item.failing or not failing)]
    return page(state, "board.html.j2", session, subjects=shown, total=len(mine), q=q, failing=failing)


@router.get("/subjects/{subject}")
def specification(subject: Subject, state: StateOf, session: SignedIn) -> Response:
    reader = reader_of(check(state, session, Permission.READ, subject))
    known = live(state, subject, reader)
    return page(
        state,
        "subject.html.j2",
        session,
        subject=summary(state, subject),
        step=next(iter(history_of(state, subject, reader, limit=1)), None),
        specification=known.document.specification if known else None,
        latest=known.latest if known else None,
        dimensions=tree(known, guarded=reader != "auditor") if known else [],
        waivers=[item for item in waivers_of(state, subject, reader) if item.state == "in force"],
        waiting=state.record.triggers(subject),
    )


@router.get("/subjects/{subject}/history")
def history(subject: Subject, state: StateOf, session: SignedIn) -> Response:
    reader = reader_of(check(state, session, Permission.READ, subject))
    latest = next(iter(state.record.assessments(subject, limit=1)), None)
    report = None
    if latest is not None:
        report = view(state.record, latest.id, reader=reader, document=state.documents.at(latest.specification))
    return page(
        state,
        "history.html.j2",
        session,
        subject=summary(state, subject),
        steps=history_of(state, subject, reader, limit=100),
        report=report,
        figures=figures(report) if report else None,
        assessments=state.record.assessments(subject, limit=25),
        waivers=waivers_of(state, subject, reader)[:50],
        attestations=attestations_of(state, subject, reader)[:50],
        publications=state.record.publications(subject, limit=10),
    )


@router.get("/subjects/{subject}/findings/{requirement:path}")
def finding(
    subject: Subject,
    requirement: str,
    state: StateOf,
    session: SignedIn,
    assessment: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    reader = reader_of(check(state, session, Permission.READ, subject))
    known = live(state, subject, reader)
    wanted = assessment or (known.sources.get(requirement) if known else None)
    if wanted is None:
        raise ProblemError(404, "This requirement was never assessed.")
    found = found_assessment(state, subject, wanted)
    report = view(state.record, found.id, reader=reader, document=state.documents.at(found.specification))
    outcome = next((item for item in report.findings if item.requirement == requirement), None)
    if outcome is None:
        raise ProblemError(404, "This assessment has no requirement with this path.")
    return page(
        state,
        "finding.html.j2",
        session,
        subject=subject,
        finding=outcome,
        report=report,
        leaves=[leaf for leaf in report.leaves if leaf.requirement == requirement],
        risks=[risk for risk in report.risks if risk.id in outcome.risks],
        figures=figures(report),
    )


@router.get("/subjects/{subject}/assessments/{assessment}/report")
def report(  # noqa: PLR0917 (FastAPI gives them by name)
    subject: Subject,
    assessment: str,
    state: StateOf,
    session: SignedIn,
    reader: Annotated[Reader, Query()] = "engineer",
    format: Annotated[reports.Format, Query()] = "html",  # noqa: A002 (what people know the parameter as)
) -> Response:
    principal = check(state, session, Permission.READ, subject)
    return reports.answer(state, found_assessment(state, subject, assessment), principal, reader, format)


@router.get("/subjects/{subject}/assessments/{assessment}/evidence/{digest}")
def evidence(subject: Subject, assessment: str, digest: str, state: StateOf, session: SignedIn) -> Response:
    check(state, session, Permission.READ_EVIDENCE, subject)
    return reports.evidence(state, found_assessment(state, subject, assessment), digest)
