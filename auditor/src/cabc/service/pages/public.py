"""Pages for anybody: published statuses, and nothing that is not published."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cabc.service import published
from cabc.service.dependencies import StateOf, Subject
from cabc.service.pages.login import session_of
from cabc.service.pages.rendering import page
from cabc.service.sessions import Session

__all__ = ["router"]

router = APIRouter()
Known = Annotated[Session | None, Depends(session_of)]


@router.get("/status")
def overview(state: StateOf, session: Known) -> Response:
    found = [published.latest(state, subject) for subject in published.published_subjects(state)]
    return page(state, "published.html.j2", session, publications=found)


@router.get("/status/{subject}")
def status(subject: Subject, state: StateOf, session: Known) -> Response:
    found = published.latest(state, subject)
    return page(
        state,
        "status.html.j2",
        session,
        publication=found,
        said=published.said(state, subject),
        files=sorted(published.public_files(found)),
    )
