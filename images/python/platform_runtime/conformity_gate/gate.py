"""One look at everything: read, decide, write down, carry out.

Nothing that matters is kept in memory. What was decided is in the tags of the model versions, what is to be done
follows from the state of auditor, registry and cluster; whichever of them is away, nothing is changed till it is back.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

from platform_runtime.conformity_gate.asking import Asking
from platform_runtime.conformity_gate.auditor import AuditorError
from platform_runtime.conformity_gate.carrying import Carrying
from platform_runtime.conformity_gate.cluster import ChangedError, ClusterError
from platform_runtime.conformity_gate.decision import Decision
from platform_runtime.conformity_gate.metrics import Metrics
from platform_runtime.conformity_gate.plan import Policy, plan, verdict
from platform_runtime.conformity_gate.reading import Seen, read
from platform_runtime.conformity_gate.registry import RegistryError
from platform_runtime.conformity_gate.sides import Auditor, Cluster, Place, Registry, Sides
from platform_runtime.conformity_gate.standing import Status
from platform_runtime.deployment import DeploymentError

__all__ = ["Gate"]

log = logging.getLogger("conformity_gate")


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Gate:
    """The controller."""

    def __init__(
        self,
        auditor: Auditor,
        registry: Registry,
        cluster: Cluster,
        place: Place,
        policy: Policy,
        *,
        now: Callable[[], dt.datetime] = _utc_now,
    ) -> None:
        self.policy = policy
        self.metrics = Metrics()
        self.now = now
        self.models: dict[str, dict[str, Any]] = {}
        """How each model was at the last look, for `/v1/models`."""
        self._sides = Sides(auditor, registry, cluster, place)
        self._carrying = Carrying(self._sides, policy, self.metrics, now)
        self._asking = Asking(self._sides, policy)
        self._seen: dict[str, Seen | None] = {}

    def decisions(self, model: str | None = None) -> list[Decision]:
        """Return what was decided, latest first."""
        found = [
            each
            for seen in list(self._seen.values())
            if seen is not None and model in {None, seen.model.name}
            for each in seen.ledger.latest_first()
        ]
        return sorted(found, key=lambda each: (each.at, each.id), reverse=True)

    def poll(self) -> bool:
        """Look at every model once; say whether all of them could be looked at."""
        try:
            subjects = self._sides.auditor.subjects()
        except AuditorError as error:
            self._failed("auditor", error)
            return False
        good = True
        for subject in subjects:
            good &= self._looked(subject)
        for known in (self._seen, self.models):
            for gone in known.keys() - set(subjects):
                known.pop(gone)
        self._tell()
        if good:
            self.metrics.last_poll.set(self.now().timestamp())
        return good

    def _looked(self, subject: str) -> bool:
        """Look at one model; whatever is wrong with it, the others are looked at as well."""
        try:
            self._seen[subject] = self._look(subject)
        except AuditorError as error:
            return self._failed("auditor", error, subject)
        except (RegistryError, DeploymentError) as error:
            return self._failed("registry", error, subject)
        except ChangedError as error:
            log.info("%s: %s; looking again", subject, error)
        except ClusterError as error:
            return self._failed("cluster", error, subject)
        except Exception as error:  # noqa: BLE001 (nobody thought of it: it is told with its trace)
            return self._failed("gate", error, subject)
        return True

    def _failed(self, source: str, error: Exception, subject: str = "") -> bool:
        """Note what is away. The last decision stays in force."""
        self.metrics.failures.labels(source).inc()
        log.warning("%s%s: %s", f"{subject}: " if subject else "", source, error, exc_info=source == "gate")
        if subject in self.models:
            self.models[subject]["problem"] = str(error)
        return False

    def _look(self, name: str) -> Seen | None:
        seen = self._read(name)
        if seen is None:
            return None
        if self._carrying.finish(seen):
            seen = self._read(name) or seen
        self._carrying.mark(seen)
        changed = False
        for move in plan(seen.world, self.policy):
            decision, new = self._carrying.decide(seen, move)
            changed |= self._carrying.carry(seen, decision, new=new)
        if changed:
            seen = self._read(name) or seen
            self._carrying.mark(seen)
        else:
            self._ask(seen)
        self._show(seen)
        return seen

    def _read(self, name: str) -> Seen | None:
        subject = self._sides.auditor.subject(name)
        seen = read(subject, self._sides, self._carrying.said.get(subject.model, {}), self.now())
        if seen is None:
            self.models[name] = {"subject": name, "model": subject.model, "problem": "not in the registry"}
        return seen

    def _ask(self, seen: Seen) -> None:
        try:
            self._asking.ask(seen)
        except AuditorError as error:
            # It assesses by its own schedule all the same.
            self._failed("auditor", error, seen.subject.name)

    def _show(self, seen: Seen) -> None:
        world = seen.world
        self.models[seen.subject.name] = {
            "subject": seen.subject.name,
            "model": seen.model.name,
            "service": seen.where,
            "served": world.served.version if world.served else None,
            "stopped": bool(world.served and world.served.stopped),
            "champion": world.champion,
            "candidate": world.candidate,
            "audited": seen.subject.audited,
            "versions": {
                version: {
                    "verdict": verdict(version, world, self.policy).value,
                    "status": standing.status.value if standing else Status.NONE.value,
                    "since": standing.since.isoformat() if standing else None,
                    "assessment": standing.assessment if standing else None,
                }
                for version, standing in seen.used().items()
            },
            "looked": world.now.isoformat(),
            "problem": None,
        }

    def _tell(self) -> None:
        """Tell Prometheus how every model was when it could be looked at last."""
        self.metrics.clear()
        for seen in self._seen.values():
            if seen is None:
                continue
            world = seen.world
            served = world.served
            self.metrics.tell(
                seen.model.name,
                statuses={
                    version: standing.status if standing else Status.NONE for version, standing in seen.used().items()
                },
                served=(served.version, verdict(served.version, world, self.policy), self.policy.mode)
                if served and not served.stopped
                else None,
                champion=world.champion,
                ledger=seen.ledger,
            )
