"""What one look at something found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Status", "failed", "good", "warning"]


class Status(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """The platform runs, but not as well as it could."""

    FAILED = "failed"
    """The platform cannot run."""


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    section: str
    name: str
    status: Status
    found: str
    fix: str | None = None


def good(section: str, name: str, found: str) -> Check:
    """Return a check that passed."""
    return Check(section, name, Status.OK, found)


def warning(section: str, name: str, found: str, fix: str) -> Check:
    """Return a check that somebody should look at."""
    return Check(section, name, Status.WARNING, found, fix)


def failed(section: str, name: str, found: str, fix: str) -> Check:
    """Return a check that keeps the platform from running."""
    return Check(section, name, Status.FAILED, found, fix)
