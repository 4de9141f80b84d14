"""Logging in with a token, and out. The token is checked once; the browser keeps only a random cookie."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from cabc.service.access import Permission, Principal
from cabc.service.dependencies import StateOf
from cabc.service.pages.rendering import page
from cabc.service.problems import ProblemError
from cabc.service.sessions import LENGTH, LOGIN_COOKIE, SESSION_COOKIE, Session
from cabc.service.state import State

__all__ = ["SignInError", "SignedIn", "form_of", "router", "session_of", "signed_in"]

router = APIRouter()


class SignInError(Exception):
    """Nobody is logged in; `where` is the page to come back to."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


def session_of(
    request: Request, state: StateOf, cabc_session: Annotated[str | None, Cookie()] = None
) -> Session | None:
    """Return the session of the browser, if it has one."""
    session = state.sessions.find(cabc_session)
    if session is not None:
        request.state.caller = session.principal.name
    return session


def signed_in(request: Request, session: Annotated[Session | None, Depends(session_of)]) -> Session:
    """Return the session; send to the login page when there is none."""
    if session is None:
        query = f"?{request.url.query}" if request.url.query else ""
        raise SignInError(request.url.path + query if request.method == "GET" else "/subjects")
    return session


SignedIn = Annotated[Session, Depends(signed_in)]


def check(state: State, session: Session, permission: Permission, subject: str) -> Principal:
    """Return the principal when they may do this; the same answer for a subject that is not there."""
    principal = session.principal
    if not principal.may(permission, subject):
        raise ProblemError(403, f"This asks for the permission {permission} on {subject}.")
    if state.documents.current(subject) is None and subject not in state.record.subjects():
        raise ProblemError(404, f"There is no subject {subject}.")
    return principal


def form_of(request: Request, session: SignedIn, csrf: Annotated[str, Form(max_length=200)] = "") -> Session:
    """Return the session of a form that one of its own pages sent."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"} or not session.repeats(csrf):
        raise ProblemError(403, "This form does not come from a page of this session. Load it again.")
    return session


@router.get("/login")
def form(state: StateOf, next: Annotated[str, Query(max_length=500)] = "/subjects") -> Response:  # noqa: A002 (what people know the parameter as)
    return _form(state, next)


@router.post("/login")
async def login(  # noqa: PLR0917 (FastAPI gives them by name)
    request: Request,
    state: StateOf,
    token: Annotated[str, Form(max_length=8192)] = "",
    csrf: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=500)] = "/subjects",  # noqa: A002 (what people know the parameter as)
    cabc_login: Annotated[str | None, Cookie()] = None,
) -> Response:
    if wait := state.login_limit.wait(request.client.host if request.client else "unknown"):
        raise ProblemError(429, f"Too many tries. Wait {wait} seconds.", headers={"Retry-After": str(wait)})
    if not cabc_login or not hmac.compare_digest(cabc_login.encode(), csrf.encode()):
        return _form(state, next, "The form was too old. Try again.", 403)
    principal = await state.authenticator.principal(token.strip())
    if principal is None or not principal.roles:
        return _form(state, next, "This token is not known, no longer valid, or has no role here.", 401)
    answer = RedirectResponse(_local(next), 303)
    _cookie(state, answer, SESSION_COOKIE, state.sessions.open(principal), age=int(LENGTH.total_seconds()))
    answer.delete_cookie(LOGIN_COOKIE, path="/login", httponly=True, samesite="strict")
    return answer


@router.post("/logout")
def logout(
    state: StateOf, _: Annotated[Session, Depends(form_of)], cabc_session: Annotated[str | None, Cookie()] = None
) -> Response:
    state.sessions.close(cabc_session)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return answer


def _form(state: State, where: str, error: str | None = None, status: int = 200) -> Response:
    """Return the form; its hidden word repeats a cookie that other sites can neither read nor set."""
    word = secrets.token_urlsafe(24)
    answer = page(state, "login.html.j2", None, status=status, error=error, word=word, where=_local(where))
    _cookie(state, answer, LOGIN_COOKIE, word, age=1800, path="/login")
    return answer


def _cookie(state: State, answer: Response, name: str, value: str, *, age: int, path: str = "/") -> None:
    answer.set_cookie(name, value, max_age=age, path=path, httponly=True, samesite="strict", secure=secure(state))


def secure(state: State) -> bool:
    """Say whether browsers reach this service by https."""
    return (state.home.settings.service.public_url or "").startswith("https://")


def _local(where: str) -> str:
    """Return a path of this service; anything else leads to the board."""
    usable = where.startswith("/") and not where.startswith("//") and "\\" not in where and where.isprintable()
    return where if usable else "/subjects"
