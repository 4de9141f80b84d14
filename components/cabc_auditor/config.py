"""What an order form may say about the auditor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from components._core import paths
from components._core.config import ComponentConfig, DnsName, Quantity, Resources, Settings

__all__ = ["CabcAuditorConfig", "CheckoutFile", "Days", "Oidc", "Retention", "RetiredKey"]


def _in_checkout(text: str) -> str:
    file = (paths.CHECKOUT / text).resolve()
    if Path(text).is_absolute() or not file.is_relative_to(paths.CHECKOUT) or not file.is_file():
        msg = "a file of the checkout, by its path from the top"
        raise ValueError(msg)
    return text


CheckoutFile = Annotated[str, pydantic.AfterValidator(_in_checkout)]
"""A file of the checkout, by its path from the top: what is audited is under version control."""

RetiredKey = Annotated[str, pydantic.StringConstraints(pattern=r"^(collect|assess|publish)-[a-z0-9-]+$")]

Days = Annotated[int, pydantic.Field(ge=1)]


class Oidc(Settings):
    """An identity provider whose tokens the auditor takes beside its own."""

    issuer: str
    """URL of the issuer, as it stands in its tokens."""

    audience: str
    """Audience that a token must have."""

    roles_claim: str = "roles"
    """Claim with the roles: auditee, auditing-party, publisher, reader."""


class Retention(Settings):
    """How long bodies are kept. Their hashes, verdicts, waivers and statuses stay for good."""

    evidence: Days | None = None
    """Days that collected bytes are kept; for good when not given."""

    observations: Days | None = None
    """Days that measured values are kept; for good when not given."""


class CabcAuditorConfig(ComponentConfig):
    """The auditor with its own database. Without a specification it runs and audits nothing."""

    specifications: Mapping[DnsName, CheckoutFile] = pydantic.Field(default_factory=dict)
    """Conformity specifications by a name for the file; what each audits stands inside, as its subject.

    For example `{loan-approval: examples/loan_approval/specification/loan-approval.yaml}`.
    """

    specifications_from: tuple[DnsName, ...] = ()
    """ConfigMaps in the auditor's namespace with a key `specification.yaml` each, kept by somebody else.

    The auditor reads a changed one when its pods are made anew.
    """

    documents: tuple[CheckoutFile, ...] = ()
    """Files that specifications read through the connection `docs`, by their names without folders."""

    connections: Mapping[DnsName, Mapping[str, Any]] = pydantic.Field(default_factory=dict)
    """More connections than those that follow from the platform; see docs/reference/connections.md."""

    namespaces: tuple[DnsName, ...] = ()
    """More namespaces that serve what specifications audit, beside that of the platform's models.

    The auditor reads them and is told of new revisions there, and nowhere else; they are there already.
    """

    processes: Literal["three", "one"] = "three"
    """`three`: who collects, who judges and who publishes are apart, each with its own ServiceAccount, database user
    and signing key. `one` does all and owns its database: it takes a third of the memory and proves less."""

    storage: Quantity = "256Mi"
    """Size of the volume with signed heads, against which the database is compared, and published files."""

    protect: bool = False
    """Refuse to delete or replace the volume: `pulumi destroy` stops until this is false again."""

    public_url: str | None = None
    """Address that people reach the pages by; with https, browsers send the session over nothing else."""

    oidc: Oidc | None = None
    """An identity provider; its roles are those of the tokens."""

    retired_keys: Mapping[RetiredKey, str] = pydantic.Field(default_factory=dict)
    """Public keys (PEM) that were replaced, as `<role>-<name>`: they verify what was signed before."""

    retention: Retention = Retention()
    """How long evidence is kept."""

    verify_every_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = 6
    """How often the whole record is verified."""

    stale_after_hours: int = pydantic.Field(default=24, ge=1)
    """Age of a subject's last assessment that raises the alert AuditStale."""

    resources: Resources = Resources.model_validate(
        {"cpu": "20m", "memory": "160Mi", "cpuLimit": "1", "memoryLimit": "512Mi"}
    )
    """Requests and limits of each process, and of what verifies the record."""
