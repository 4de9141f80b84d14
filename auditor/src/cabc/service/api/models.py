"""What the API takes and gives beyond the record's own types."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, StringConstraints

from cabc.document.base import Model
from cabc.report.types import Line
from cabc.service.live import Node, SubjectSummary

__all__ = [
    "AskedRun",
    "NewAttestation",
    "NewWaiver",
    "Specification",
    "SubjectDetail",
    "WhoAmI",
]


class Request(Model):
    """Base of bodies: FastAPI hands over parsed JSON, where an instant is text."""

    model_config = ConfigDict(strict=False)


def _text(value: object) -> object:
    if not isinstance(value, str):
        msg = "wanted text with an ISO 8601 instant and its time zone"
        raise ValueError(msg)  # noqa: TRY004 (pydantic reports ValueError)
    return value


At = Annotated[AwareDatetime, BeforeValidator(_text)]
Reason = Annotated[str, StringConstraints(min_length=10, max_length=2000, strict=True, strip_whitespace=True)]
ElementPath = Annotated[str, StringConstraints(min_length=1, max_length=500, strict=True)]


class NewWaiver(Request):
    """Accept the failure of a requirement until an instant."""

    requirement: ElementPath
    """Path of the requirement."""
    reason: Reason
    expires: At


class NewAttestation(Request):
    """Answer a manual measurement."""

    path: ElementPath
    """Path of the leaf."""
    statement: Reason
    value: bool | int | float | str
    valid_until: At


class AskedRun(Request):
    """Ask for a run."""

    requirements: Annotated[list[ElementPath], Field(max_length=500)] = []
    """Paths of the requirements to assess; none means all."""


class SubjectDetail(SubjectSummary):
    """A subject with its document."""

    specification: Line | None = None
    specification_version: int | None = None
    specification_digest: Line | None = None
    """Of the document that the next run will use."""
    failing_requirements: list[Line] = []


class Specification(Model):
    """The specification with its latest verdicts."""

    id: Line
    version: int
    name: Line
    digest: Line
    mode: Line
    dimensions: list[Node]


class WhoAmI(Model):
    """The caller, as the service knows them."""

    name: Line
    roles: list[str]
    permissions: list[str]
    subjects: list[str]
