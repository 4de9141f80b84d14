"""Who may do what: the one table of roles and permissions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ROLES", "Permission", "Principal", "Role"]


class Role(StrEnum):
    """Parts in an audit, in the words of the method."""

    AUDITEE = "auditee"
    AUDITING_PARTY = "auditing-party"
    PUBLISHER = "publisher"
    READER = "reader"


class Permission(StrEnum):
    """What an operation asks for."""

    READ = "read"
    """Verdicts, findings, history, reports; of confidential elements only that they exist and their verdict."""
    READ_CONFIDENTIAL = "read-confidential"
    """Values, targets and reasons of confidential elements; the auditor's report; the document's text."""
    READ_EVIDENCE = "read-evidence"
    """The bytes that were collected."""
    ATTEST = "attest"
    TRIGGER = "trigger"
    WAIVE = "waive"
    PUBLISH = "publish"


ROLES: dict[Role, frozenset[Permission]] = {
    Role.READER: frozenset({Permission.READ}),
    Role.AUDITEE: frozenset(
        {Permission.READ, Permission.READ_CONFIDENTIAL, Permission.ATTEST, Permission.TRIGGER},
    ),
    Role.AUDITING_PARTY: frozenset(
        {
            Permission.READ,
            Permission.READ_CONFIDENTIAL,
            Permission.READ_EVIDENCE,
            Permission.ATTEST,
            Permission.TRIGGER,
            Permission.WAIVE,
        }
    ),
    Role.PUBLISHER: frozenset({Permission.READ, Permission.PUBLISH}),
}
"""An auditee never waives its own failures, an auditing party never publishes, a publisher sees no details."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who proved who they are."""

    name: str
    roles: frozenset[Role]
    subjects: frozenset[str] = frozenset({"*"})
    expires: dt.datetime | None = None
    """When the proof ends; None when the operator's settings decide."""

    @classmethod
    def of(
        cls, name: str, roles: Iterable[str], subjects: Iterable[str], expires: dt.datetime | None = None
    ) -> Principal:
        """Return the principal with the roles that exist; a word that is no role gives nothing."""
        known = {role.value for role in Role}
        return cls(name, frozenset(Role(role) for role in roles if role in known), frozenset(subjects), expires)

    @property
    def permissions(self) -> frozenset[Permission]:
        """Everything that its roles allow."""
        return frozenset[Permission]().union(*(ROLES[role] for role in self.roles))

    def may(self, permission: Permission, subject: str | None = None) -> bool:
        """Say whether it may do this, to this subject when one is named."""
        return permission in self.permissions and (subject is None or self.sees(subject))

    def sees(self, subject: str) -> bool:
        """Say whether the subject is among its own."""
        return "*" in self.subjects or subject in self.subjects
