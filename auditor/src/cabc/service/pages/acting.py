"""Forms: waive, attest, ask for a run, publish. Each repeats the session's word, each leads back to a page."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from cabc.document.model import Measurement
from cabc.engine.statements import StatementError
from cabc.service import acts
from cabc.service.access import Permission
from cabc.service.dependencies import StateOf, Subject
from cabc.service.pages.login import SignedIn, check, form_of
from cabc.service.pages.rendering import page
from cabc.service.problems import ProblemError
from cabc.service.sessions import Session
from cabc.service.state import State

__all__ = ["router"]

router = APIRouter()
Sent = Annotated[Session, Depends(form_of)]
Text = Annotated[str, Form(max_length=2000)]
SHORTEST = 10


@router.get("/subjects/{subject}/waive")
def waiver_form(
    subject: Subject, state: StateOf, session: SignedIn, requirement: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    check(state, session, Permission.WAIVE, subject)
    return _waiver_form(state, session, subject, {"requirement": requirement, "reason": "", "expires": ""})


@router.post("/subjects/{subject}/waive")
def waive(  # noqa: PLR0917 (FastAPI gives them by name)
    subject: Subject,
    state: StateOf,
    session: Sent,
    requirement: Text = "",
    reason: Text = "",
    expires: Text = "",
) -> Response:
    principal = check(state, session, Permission.WAIVE, subject)
    state.part("assess")
    given = {"requirement": requirement, "reason": reason, "expires": expires}
    errors: dict[str, str] = {}
    end = _instant(expires, errors, "expires")
    _long_enough(reason, errors, "reason")
    if not errors and end is not None:
        try:
            acts.waive(state, principal, subject=subject, requirement=requirement, reason=reason.strip(), expires=end)
        except (ProblemError, StatementError) as error:
            errors["expires" if _about_the_end(error) else "requirement"] = str(error)
        else:
            return RedirectResponse(f"/subjects/{subject}/history#waivers", 303)
    return _waiver_form(state, session, subject, given, errors)


@router.get("/subjects/{subject}/attest")
def attestation_form(
    subject: Subject, state: StateOf, session: SignedIn, path: Annotated[str, Query(max_length=500)] = ""
) -> Response:
    check(state, session, Permission.ATTEST, subject)
    return _attestation_form(state, session, subject, {"path": path, "value": "", "statement": "", "valid_until": ""})


@router.post("/subjects/{subject}/attest")
def attest(  # noqa: PLR0917 (FastAPI gives them by name)
    subject: Subject,
    state: StateOf,
    session: Sent,
    path: Text = "",
    value: Text = "",
    statement: Text = "",
    valid_until: Text = "",
) -> Response:
    principal = check(state, session, Permission.ATTEST, subject)
    state.part("assess")
    given = {"path": path, "value": value, "statement": statement, "valid_until": valid_until}
    errors: dict[str, str] = {}
    end = _instant(valid_until, errors, "valid_until")
    _long_enough(statement, errors, "statement")
    leaf = next((leaf for leaf in _manual(state, subject) if leaf["path"] == path), None)
    answer = _value(value, leaf["type"] if leaf else "string", errors)
    if not errors and end is not None and answer is not None:
        try:
            acts.attest(
                state,
                principal,
                subject=subject,
                path=path,
                statement=statement.strip(),
                value=answer,
                valid_until=end,
            )
        except (ProblemError, StatementError) as error:
            errors["valid_until" if _about_the_end(error) else "path"] = str(error)
        else:
            return RedirectResponse(f"/subjects/{subject}/history#attestations", 303)
    return _attestation_form(state, session, subject, given, errors)


@router.post("/subjects/{subject}/run")
def run(subject: Subject, state: StateOf, session: Sent) -> Response:
    principal = check(state, session, Permission.TRIGGER, subject)
    state.part("collect")
    acts.ask(state, principal, subject=subject, requirements=[])
    return RedirectResponse(f"/subjects/{subject}", 303)


@router.post("/subjects/{subject}/publish")
def publish(subject: Subject, state: StateOf, session: Sent) -> Response:
    check(state, session, Permission.PUBLISH, subject)
    state.part("publish")
    if state.record.status(subject) is None:
        raise ProblemError(409, f"{subject} has no status yet, so there is nothing to publish.")
    state.worker.publish_now(subject)
    return RedirectResponse(f"/status/{subject}", 303)


def _waiver_form(
    state: State, session: Session, subject: str, given: dict[str, str], errors: dict[str, str] | None = None
) -> Response:
    document = state.documents.current(subject)
    paths = [node.path for node in document.requirements] if document else []
    return page(
        state,
        "waive.html.j2",
        session,
        status=422 if errors else 200,
        subject=subject,
        paths=paths,
        given=given,
        errors=errors or {},
    )


def _attestation_form(
    state: State, session: Session, subject: str, given: dict[str, str], errors: dict[str, str] | None = None
) -> Response:
    return page(
        state,
        "attest.html.j2",
        session,
        status=422 if errors else 200,
        subject=subject,
        leaves=_manual(state, subject),
        given=given,
        errors=errors or {},
    )


def _manual(state: State, subject: str) -> list[dict[str, Any]]:
    """Return the measurements that people answer."""
    document = state.documents.current(subject)
    found = []
    for leaf in document.leaves() if document else ():
        element = leaf.element
        if isinstance(element, Measurement) and getattr(element.interface, "kind", "") == "manual":
            question = getattr(element.interface, "question", None) or element.comment
            found.append({"path": leaf.path, "type": element.data_type, "scale": element.scale, "question": question})
    return found


def _value(text: str, type_: str, errors: dict[str, str]) -> bool | float | str | None:
    """Return what was answered in the measurement's type."""
    text = text.strip()
    if type_ == "boolean":
        if text.lower() in {"true", "yes", "false", "no"}:
            return text.lower() in {"true", "yes"}
        errors["value"] = "Answer yes or no."
        return None
    if type_ == "numeric":
        try:
            return int(text) if text.lstrip("+-").isdigit() else float(text)
        except ValueError:
            errors["value"] = "Answer with a number."
            return None
    if not text:
        errors["value"] = "Give an answer."
    return text or None


def _instant(text: str, errors: dict[str, str], field: str) -> dt.datetime | None:
    """Return an instant of a form; its fields say UTC."""
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    except ValueError:
        errors[field] = "Give date and time."
        return None


def _about_the_end(error: ProblemError | StatementError) -> bool:
    return isinstance(error, StatementError) and error.part == "until"


def _long_enough(text: str, errors: dict[str, str], field: str) -> None:
    if len(text.strip()) < SHORTEST:
        errors[field] = f"Write at least {SHORTEST} characters, so that others understand it."
