"""`manual`: a person's attestation. Nothing is retrieved; the value comes from the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from cabc.document.interfaces import ManualInterface
from cabc.interfaces.base import Connection, Retrieved, RetrieveError, SubjectFacts, Value
from cabc.interfaces.extraction import cast, pointed
from cabc.interfaces.structured import parse_json

__all__ = ["ManualPlugin", "answer"]


def answer(value: Any) -> bytes:
    """Return an attested value in the form that `extract` reads."""
    return json.dumps({"value": value}, sort_keys=True, separators=(",", ":")).encode()


class ManualPlugin:
    """Wait for `cabc attest`."""

    kind: ClassVar[str] = "manual"
    spec: ClassVar[type[ManualInterface]] = ManualInterface
    connection: ClassVar[None] = None

    async def retrieve(self, spec: ManualInterface, connection: Connection, subject: SubjectFacts) -> Retrieved:  # noqa: ARG002 (protocol)
        msg = f"a person has to attest: {spec.question} (cabc attest)"
        raise RetrieveError(msg)

    def extract(self, spec: ManualInterface, body: bytes, media_type: str, details: Mapping[str, str]) -> Value:  # noqa: ARG002 (protocol)
        return cast(pointed(parse_json(body), "/value"), spec.cast)

    async def close(self) -> None:
        """Hold nothing."""
