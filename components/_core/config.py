"""Bases of every configuration model: the order form is YAML in camelCase, the models are Python in snake_case."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic.alias_generators import to_camel

__all__ = ["ComponentConfig", "DnsName", "Quantity", "Resources", "Settings"]

Quantity = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"),
]
"""A Kubernetes quantity: `250m` of a core, `1Gi` of memory or storage."""

DnsName = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63),
]
"""A name Kubernetes accepts: lower-case letters, digits and `-`, at most 63, no `-` at either end."""


class Settings(pydantic.BaseModel):
    """A part of the order form. Unknown keys are errors; every field has a docstring, which is its description."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )


class Resources(Settings):
    """Requests and limits of one container.."""

    cpu: Quantity = "50m"
    """CPU request."""

    memory: Quantity = "64Mi"
    """Memory request."""

    cpu_limit: Quantity = "1"
    """CPU limit."""

    memory_limit: Quantity = "256Mi"
    """Memory limit; the container is killed above it."""


class ComponentConfig(Settings):
    """What an order form may say about one component. Defaults install a small working one."""
