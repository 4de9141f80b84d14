"""What an interface plugin is: retrieval, which touches the world, apart from extraction, which never does.

Because a value is extracted from the stored bytes by a pure function, anybody can recompute a verdict from an export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from cabc.document.base import Model
from cabc.document.interfaces import InterfaceSpec

__all__ = ["Connection", "ExtractError", "InterfacePlugin", "RetrieveError", "Retrieved", "SubjectFacts", "Value"]

Value = bool | int | float | str | list[bool | int | float | str]
"""What a measurement can be."""


class RetrieveError(Exception):
    """The value could not be retrieved; the text is one line, for the report, without secrets."""


class ExtractError(Exception):
    """The retrieved bytes do not hold one value of the declared shape; one line that says what was found."""


class SubjectFacts(Model):
    """What is known about the subject at the time of a run; strings that interfaces may use as parameters."""

    name: str
    registered_model: str | None = None
    version: str | None = None
    run_id: str | None = None
    digest: str | None = None
    """SHA-256 of the model artefact (its MLmodel file and all it lists), `sha256:…`."""
    source: str | None = None
    """Where the artefact is."""
    inference_service: str | None = None
    """`namespace/name`."""
    image_digest: str | None = None


class Connection(Model):
    """What the operator tells of a backend: address, credentials by reference, limits. Kinds subclass it."""

    kind: str
    max_concurrent: int = 8
    """Retrievals at once through this connection; at a database those of all runs together."""
    timeout: float = 30.0
    """Seconds one retrieval may take, whatever the document says."""
    max_bytes: int = 1_000_000
    """Size of an answer, in bytes, above which it is refused."""
    redact: list[str] = []
    """RE2 patterns; what they match is replaced before evidence is hashed and stored."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The answer of a backend, before redaction."""

    body: bytes
    media_type: str
    origin: str
    """What was asked, for readers: `GET /api/x of connection y`. Never a credential, never a host of the operator."""
    details: Mapping[str, str] = field(default_factory=dict)
    """More that extraction needs and the body does not tell, kept with the evidence."""


S_contra = TypeVar("S_contra", bound=InterfaceSpec, contravariant=True)
C_contra = TypeVar("C_contra", bound=Connection, contravariant=True)


@runtime_checkable
class InterfacePlugin(Protocol[S_contra, C_contra]):
    """One kind of interface. An instance lives for one run and is closed at its end."""

    kind: ClassVar[str]
    spec: ClassVar[type[Any]]
    """Model of the document's `interface:` key."""
    connection: ClassVar[type[Any] | None]
    """Model of the operator's connection; None when it needs none."""

    async def retrieve(self, spec: S_contra, connection: C_contra, subject: SubjectFacts) -> Retrieved:
        """Ask the backend once. RetrieveError for whatever goes wrong; the caller bounds time and number."""
        ...

    def extract(self, spec: S_contra, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:
        """Return the value in the stored bytes; pure. ExtractError when there is not exactly one."""
        ...

    async def close(self) -> None:
        """Give back what the instance holds."""
        ...
