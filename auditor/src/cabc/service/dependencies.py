"""What operations depend on: the state, the caller, their permission for the subject at hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from cabc.service.access import Permission, Principal
from cabc.service.problems import ProblemError
from cabc.service.state import State

__all__ = ["SUBJECT", "Caller", "StateOf", "Subject", "allowed", "bearer", "state_of"]

SUBJECT = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
Subject = Annotated[str, Path(pattern=SUBJECT, description="Name of the subject.")]
bearer = HTTPBearer(
    auto_error=False, scheme_name="bearer", description="A token of the settings, or a JWT of the identity provider."
)


def state_of(request: Request) -> State:
    """Return what the process holds."""
    state = request.app.state.cabc
    assert isinstance(state, State)  # noqa: S101 (set by create_app)
    return state


StateOf = Annotated[State, Depends(state_of)]


async def _caller(
    request: Request, state: StateOf, given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Principal:
    principal = await state.authenticator.principal(given.credentials) if given else None
    if principal is None:
        detail = "The token is not known or no longer valid." if given else "Send a token: Authorization: Bearer ..."
        challenge = 'Bearer realm="cabc"' + (', error="invalid_token"' if given else "")
        raise ProblemError(401, detail, headers={"WWW-Authenticate": challenge})
    request.state.caller = principal.name
    return principal


Caller = Annotated[Principal, Depends(_caller)]


def allowed(permission: Permission) -> Callable[..., Awaitable[Principal]]:
    """Return a dependency that gives the caller when they may do this to the subject in the path, if there is one."""

    async def check(request: Request, caller: Caller, state: StateOf) -> Principal:
        subject = request.path_params.get("subject")
        if not caller.may(permission, subject):
            # The same answer for a subject that is not theirs and one that is not there: names are not given away.
            detail = f"This asks for the permission {permission}" + (f" on {subject}." if subject else ".")
            raise ProblemError(403, detail)
        if subject is not None and state.documents.current(subject) is None and subject not in state.record.subjects():
            raise ProblemError(404, f"There is no subject {subject}.")
        return caller

    return check
