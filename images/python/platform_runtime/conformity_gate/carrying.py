"""What becomes of a decision: it is written down first, then carried out, then closed; each part may be done twice."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from platform_runtime.conformity_gate.decision import DECISION, END, Cause, Decision
from platform_runtime.conformity_gate.metrics import Metrics
from platform_runtime.conformity_gate.plan import Kind, Mode, Move, Policy, World, plan
from platform_runtime.conformity_gate.reading import Seen
from platform_runtime.conformity_gate.sides import Sides
from platform_runtime.conformity_gate.standing import Status
from platform_runtime.deployment import resolve
from platform_runtime.registration import CANDIDATE, CHAMPION

__all__ = ["Carrying"]

log = logging.getLogger("conformity_gate")


@dataclass
class Carrying:
    """Makes decisions of moves and moves of decisions."""

    sides: Sides
    policy: Policy
    metrics: Metrics
    now: Callable[[], dt.datetime]
    said: dict[str, dict[str, Decision]] = field(default_factory=dict)
    """By model, decisions that only this process knows: those of mode `report`, and of versions that were deleted."""

    def decide(self, seen: Seen, move: Move) -> tuple[Decision, bool]:
        standing = move.standing
        cause = (
            self.sides.auditor.cause(seen.subject.name, standing) if standing else Cause(Status.NONE.value, None, "")
        )
        return seen.ledger.decide(
            move, cause, model=seen.model.name, mode=self.policy.mode, service=seen.where, now=self.now()
        )

    def finish(self, seen: Seen) -> bool:
        """Finish what a process before this one began, and close what the world has overtaken."""
        if self.policy.mode is not Mode.ENFORCE:
            return False
        pending = [each for each in seen.ledger.pending() if each.mode == Mode.ENFORCE]
        if not pending:
            return False
        again = {self.decide(seen, move)[0].id for move in plan(seen.world, self.policy)}
        for decision in pending:
            if _happened(decision, seen.world):
                self._complete(seen, decision)
            elif decision.id not in again:
                self._end(seen, decision, "overtaken")
        return True

    def carry(self, seen: Seen, decision: Decision, *, new: bool) -> bool:
        """Do what the mode says about a decision; say whether anything outside was changed."""
        if decision.end is not None:
            return False
        if new:
            log.info("%s (%s)", decision.message(), self.policy.mode.value)
        if self.policy.mode is Mode.REPORT:
            ended = seen.ledger.end(decision, "said")
            self.said.setdefault(seen.model.name, {})[decision.id] = ended
            self.metrics.decisions.labels(decision.kind).inc()
            return False
        if new:
            self._write(seen, decision, f"{DECISION}{decision.id}", decision.body())
        if self.policy.mode is Mode.ENFORCE:
            self._apply(seen, decision)
            self._complete(seen, decision)
            return decision.kind != Kind.KEEP
        self._announce(seen, decision)
        self._end(seen, decision, "said")
        return False

    def _apply(self, seen: Seen, decision: Decision) -> None:
        kind, target = Kind(decision.kind), decision.target
        if kind in {Kind.PROMOTE, Kind.WITHDRAW}:
            self.sides.registry.alias(seen.model.name, CHAMPION, target)
            return
        if seen.service is None:
            return
        if kind in {Kind.ROLLBACK, Kind.RESTORE} and target:
            version = resolve(seen.model.name, target, self.sides.registry, self.sides.place.artefact_root)
            self.sides.cluster.serve(seen.service, version)
        elif kind is Kind.STOP and decision.source:
            self.sides.cluster.stop(seen.service, decision.source)
        elif kind is Kind.RESUME:
            self.sides.cluster.resume(seen.service)

    def _complete(self, seen: Seen, decision: Decision) -> None:
        """Do what follows from a decision that was carried out; each part may be done twice."""
        if decision.kind == Kind.ROLLBACK and decision.source and decision.target:
            if seen.world.candidate == decision.source:
                self.sides.registry.alias(seen.model.name, CANDIDATE, decision.target)
            at = decision.at.isoformat()
            self._tag(
                seen, decision.source, {"conformity.rolled_back_to": decision.target, "conformity.rolled_back_at": at}
            )
            self._tag(
                seen, decision.target, {"conformity.rolled_back_from": decision.source, "conformity.rolled_back_at": at}
            )
        self._announce(seen, decision)
        self._end(seen, decision, "done")

    def _announce(self, seen: Seen, decision: Decision) -> None:
        if seen.service is not None:
            self.sides.cluster.announce(seen.service, decision)

    def _end(self, seen: Seen, decision: Decision, how: str) -> None:
        self._write(seen, decision, f"{END}{decision.id}", f"{how} {self.now().isoformat()}")
        seen.ledger.end(decision, how)
        if how != "overtaken":
            self.metrics.decisions.labels(decision.kind).inc()

    def _write(self, seen: Seen, decision: Decision, key: str, value: str) -> None:
        """Put a part of the record where the decision is about; a version that was deleted has no tags."""
        for version in (decision.source, decision.target):
            if version in seen.model.versions:
                self.sides.registry.tag(seen.model.name, str(version), key, value)
                return
        if key.startswith(END):
            self.said.setdefault(seen.model.name, {})[decision.id] = replace(decision, end=value.partition(" ")[0])

    def _tag(self, seen: Seen, version: str, tags: dict[str, str]) -> None:
        known = seen.model.versions.get(version)
        for key, value in tags.items():
            if known is not None and known.tags.get(key) != value:
                self.sides.registry.tag(seen.model.name, version, key, value)
                known.tags[key] = value

    def mark(self, seen: Seen) -> None:
        """Keep status and cause of the versions that somebody may use in their tags."""
        if self.policy.mode is Mode.REPORT:
            return
        for version, standing in seen.used().items():
            if standing is not None:
                cause = self.sides.auditor.cause(seen.subject.name, standing)
                self._tag(seen, version, {"conformity.cause": cause.body(), "conformity.status": standing.status.value})


def _happened(decision: Decision, world: World) -> bool:
    """Say whether what was decided is so."""
    served = world.served
    match Kind(decision.kind):
        case Kind.PROMOTE | Kind.WITHDRAW:
            return world.champion == decision.target
        case Kind.ROLLBACK | Kind.RESTORE:
            return served is not None and served.version == decision.target
        case Kind.STOP:
            return served is not None and served.stopped == decision.source
        case Kind.RESUME:
            return served is not None and served.stopped is None
        case Kind.KEEP:
            return True
