"""The answer to "is it ready?"."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Verdict", "failed", "pending", "ready"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ready, or waiting for something, or failed for good."""

    done: bool
    status: str = ""
    """The line shown beside the resource."""
    reasons: list[str] = field(default_factory=list)
    """What is missing, told when time runs out; or why it failed for good."""
    hopeless: bool = False


def ready(status: str = "") -> Verdict:
    """Say that the object is ready."""
    return Verdict(done=True, status=status)


def pending(status: str, *reasons: str) -> Verdict:
    """Say what the object waits for."""
    return Verdict(done=False, status=status, reasons=list(reasons or ([status] if status else [])))


def failed(*reasons: str) -> Verdict:
    """Say that waiting longer is of no use."""
    return Verdict(done=False, reasons=list(reasons), hopeless=True)
