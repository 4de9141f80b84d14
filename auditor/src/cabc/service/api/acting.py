"""What people say and ask for: waivers, attestations, runs, publications."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response, Security

from cabc.record.types import Attestation, Publication, Trigger, Waiver
from cabc.service import acts
from cabc.service.access import Permission, Principal
from cabc.service.api.models import AskedRun, NewAttestation, NewWaiver
from cabc.service.api.reading import Reading
from cabc.service.dependencies import StateOf, Subject, allowed
from cabc.service.problems import ProblemError

__all__ = ["router"]

router = APIRouter(tags=["acting"])


@router.post(
    "/subjects/{subject}/waivers",
    summary="Accept the failure of a requirement for a time",
    status_code=201,
)
def waive(
    subject: Subject,
    body: NewWaiver,
    state: StateOf,
    caller: Annotated[Principal, Security(allowed(Permission.WAIVE))],
    response: Response,
) -> Waiver:
    state.part("assess")
    made = acts.waive(
        state, caller, subject=subject, requirement=body.requirement, reason=body.reason, expires=body.expires
    )
    response.headers["Location"] = f"/api/v1/subjects/{subject}/waivers"
    return made


@router.post(
    "/subjects/{subject}/attestations",
    summary="Answer a manual measurement",
    status_code=201,
)
def attest(
    subject: Subject,
    body: NewAttestation,
    state: StateOf,
    caller: Annotated[Principal, Security(allowed(Permission.ATTEST))],
    response: Response,
) -> Attestation:
    state.part("assess")
    made = acts.attest(
        state,
        caller,
        subject=subject,
        path=body.path,
        statement=body.statement,
        value=body.value,
        valid_until=body.valid_until,
    )
    response.headers["Location"] = f"/api/v1/subjects/{subject}/attestations"
    return made


@router.get("/subjects/{subject}/triggers", summary="Runs that were asked for and wait")
def triggers(subject: Subject, state: StateOf, _: Reading) -> list[Trigger]:
    return state.record.triggers(subject)


@router.post(
    "/subjects/{subject}/triggers",
    summary="Ask for a run",
    status_code=202,
)
def trigger(
    subject: Subject,
    body: AskedRun,
    state: StateOf,
    caller: Annotated[Principal, Security(allowed(Permission.TRIGGER))],
) -> Trigger:
    state.part("collect")
    return acts.ask(state, caller, subject=subject, requirements=list(body.requirements))


@router.get("/subjects/{subject}/publications", summary="What was published, the latest first")
def publications(
    subject: Subject, state: StateOf, _: Reading, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> list[Publication]:
    return state.record.publications(subject, limit=limit)


@router.post(
    "/subjects/{subject}/publications",
    summary="Publish the status as it is now",
    status_code=201,
)
def publish(
    subject: Subject, state: StateOf, _: Annotated[Principal, Security(allowed(Permission.PUBLISH))]
) -> Publication:
    state.part("publish")
    if state.record.status(subject) is None:
        raise ProblemError(409, f"{subject} has no status yet, so there is nothing to publish.")
    return state.worker.publish_now(subject)
