"""What every model of the auditor shares: strict, closed, immutable, camelCase outside and snake_case inside."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

__all__ = ["Digest", "Instant", "Model", "Name", "Slug"]


class Model(BaseModel):
    """Base of everything read from or written to the outside.

    Documents are validated as JSON (`model_validate_json`), where strict mode takes arrays, ISO 8601 text and enum
    values, and still refuses text for numbers and numbers for booleans.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""An identifier inside a document: lower-case letters, digits and dashes, at most 63."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""Text for people, one line."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""SHA-256 of bytes, with its algorithm in front."""

Instant = AwareDatetime
"""A moment with its time zone; never a local time."""
