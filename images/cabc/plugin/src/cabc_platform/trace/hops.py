"""What a trace is made of: hops, each with a digest and with what was checked about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["FORMAT", "Check", "Hop", "State", "Trace"]

FORMAT = "oss-mlops-platform/trace/1"


class State(StrEnum):
    """How far a hop can be believed."""

    VERIFIED = "verified"
    """Everything that was checked holds."""

    UNVERIFIED = "unverified"
    """It is known, and something that was checked does not hold."""

    MISSING = "missing"
    """It is not known; the summary says why."""

    NONE = "none"
    """There is nothing, and nothing is lacking: no label has come yet."""


@dataclass(frozen=True)
class Check:
    """One comparison of what was found with what it has to be."""

    what: str
    found: str
    wanted: str

    @property
    def holds(self) -> bool:
        """Tell whether they are the same."""
        return self.found == self.wanted


@dataclass(frozen=True)
class Hop:
    """One step on the way."""

    name: str
    title: str
    summary: str
    state: State
    digest: str | None = None
    link: str | None = None
    """Where it can be looked at: a URL inside the cluster, or a command."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[Check] = ()

    @classmethod
    def missing(cls, name: str, title: str, why: str) -> Hop:
        """Return a hop that is not known."""
        return cls(name, title, f"missing: {why}", State.MISSING)

    @classmethod
    def checked(cls, name: str, title: str, summary: str, checks: Sequence[Check], **others: Any) -> Hop:
        """Return a hop that is known, in the state that its checks give it."""
        state = State.VERIFIED if checks and all(check.holds for check in checks) else State.UNVERIFIED
        return cls(name, title, summary, state, checks=checks, **others)

    def plain(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "name": self.name,
            "title": self.title,
            "state": str(self.state),
            "summary": self.summary,
            "digest": self.digest,
            "link": self.link,
            "facts": dict(self.facts),
            "checks": [
                {"what": each.what, "holds": each.holds, "found": each.found, "wanted": each.wanted}
                for each in self.checks
            ],
        }


@dataclass(frozen=True)
class Trace:
    """All hops of one prediction, in the order of an inspector's questions."""

    request: str
    row: int | None
    at: str | None
    """The minute that all of it is about."""

    hops: Sequence[Hop]

    @property
    def open(self) -> list[Hop]:
        """Return the hops that are missing or do not hold."""
        return [hop for hop in self.hops if hop.state in {State.MISSING, State.UNVERIFIED}]

    def plain(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "format": FORMAT,
            "request": self.request,
            "row": self.row,
            "at": self.at,
            "verified": not self.open,
            "hops": [hop.plain() for hop in self.hops],
        }
