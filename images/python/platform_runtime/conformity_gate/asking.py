"""Asking the auditor for an assessment that nobody else may have asked for."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, field

from platform_runtime.conformity_gate.plan import Policy, Verdict, verdict
from platform_runtime.conformity_gate.reading import Seen
from platform_runtime.conformity_gate.sides import Sides
from platform_runtime.registration import CANDIDATE

__all__ = ["Asking"]

log = logging.getLogger("conformity_gate")

ASK_AGAIN = dt.timedelta(minutes=5)
ASK_TIMES = 3
"""An auditor that follows another version is not asked for ever."""


@dataclass
class _Asked:
    version: str
    at: dt.datetime | None = None
    times: int = 0


@dataclass
class Asking:
    """Knows what was asked for, and how often."""

    sides: Sides
    policy: Policy
    _asked: dict[str, _Asked] = field(default_factory=dict)

    def ask(self, seen: Seen) -> None:
        """Have what is served looked at now, and a version that was rolled back when somebody wants it back.

        Raises AuditorError when the auditor does not hear.
        """
        world, wanted = seen.world, self._waiting(seen)
        if wanted is None:
            return
        asked = self._asked.get(seen.model.name)
        if asked is None or asked.version != wanted:
            asked = self._asked[seen.model.name] = _Asked(wanted)
        if asked.times >= ASK_TIMES or (asked.at and world.now - asked.at < ASK_AGAIN):
            return
        served = world.served is not None and world.served.version == wanted
        if served and seen.service is not None and not self.sides.cluster.settled(seen.service):
            return
        if asked.times:
            log.warning(
                "%s: version %s still waits for its assessment; the auditor assesses version %s: "
                "its subject should follow alias %s",
                seen.model.name,
                wanted,
                seen.subject.audited,
                CANDIDATE,
            )
        asked.at = world.now
        self.sides.auditor.ask(seen.subject.name, world.now)
        asked.times += 1

    def _waiting(self, seen: Seen) -> str | None:
        """Return the version whose assessment nobody else may have asked for."""
        world, audited = seen.world, seen.subject.audited
        if world.candidate in world.rolled_back and audited != world.candidate:
            return world.candidate
        if world.served is None or world.served.stopped or world.candidate not in {None, world.served.version}:
            return None
        version = world.served.version
        pending = verdict(version, world, self.policy) is Verdict.PENDING
        return version if pending or audited != version else None
