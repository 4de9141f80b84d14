"""One model as auditor, registry and cluster tell it, read before anything is decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from platform_runtime.conformity_gate.auditor import Subject
from platform_runtime.conformity_gate.cluster import Service
from platform_runtime.conformity_gate.decision import Decision, Ledger
from platform_runtime.conformity_gate.plan import World
from platform_runtime.conformity_gate.registry import Model
from platform_runtime.conformity_gate.sides import Sides
from platform_runtime.conformity_gate.standing import Standing, standings
from platform_runtime.registration import CANDIDATE, CHAMPION

__all__ = ["Seen", "read"]


@dataclass
class Seen:
    """One model as it was read."""

    subject: Subject
    model: Model
    service: Service | None
    ledger: Ledger
    world: World
    where: str
    """`namespace/name` of the InferenceService, whether it is there or not."""

    def used(self) -> dict[str, Standing | None]:
        """Return the versions that somebody uses or may want to, with their standings."""
        world = self.world
        versions = (world.served.version if world.served else None, world.champion, world.candidate)
        return {version: world.standings.get(version) for version in versions if version}


def read(subject: Subject, sides: Sides, said: Mapping[str, Decision], now: dt.datetime) -> Seen | None:
    """Read what an auditor's subject is about; None when the registry does not have its model.

    `said` are decisions that stand in no tag.
    """
    model = sides.registry.model(subject.model)
    if model is None:
        return None
    where = subject.service or f"{sides.place.namespace}/{subject.model}"
    namespace, _, service_name = where.partition("/")
    service = sides.cluster.service(namespace, service_name) if namespace == sides.place.namespace else None
    if service is not None and service.model != subject.model:
        service = None  # the name is somebody else's
    ledger = Ledger.of(version.tags for version in model.versions.values())
    ledger.decisions.update(said)
    digests = {number: version.tags["digest"] for number, version in model.versions.items() if "digest" in version.tags}
    world = World(
        model=subject.model,
        now=now,
        versions=frozenset(model.versions),
        served=service.served if service else None,
        champion=model.aliases.get(CHAMPION),
        candidate=model.aliases.get(CANDIDATE),
        standings=standings(subject.steps, subject.assessed, digests),
        rolled_back=ledger.rolled_back(),
    )
    return Seen(subject, model, service, ledger, world, where)
