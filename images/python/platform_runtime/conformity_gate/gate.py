"""One look at everything: read, decide, write down, carry out.

Nothing that matters is kept in memory. What was decided is in the tags of the model versions, what is to be done
follows from the state of auditor, registry and cluster; whichever of them is away, nothing is changed till it is back.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from platform_runtime.conformity_gate.auditor import AuditorError, Subject
from platform_runtime.conformity_gate.cluster import ChangedError, ClusterError, Service
from platform_runtime.conformity_gate.decision import DECISION, END, Cause, Decision, Ledger
from platform_runtime.conformity_gate.metrics import Metrics
from platform_runtime.conformity_gate.plan import Kind, Mode, Move, Policy, Verdict, World, plan, verdict
from platform_runtime.conformity_gate.registry import Model, ModelVersion, RegistryError
from platform_runtime.conformity_gate.standing import Standing, Status, standings
from platform_runtime.deployment import DeploymentError, Version, resolve
from platform_runtime.registration import CANDIDATE, CHAMPION

__all__ = ["Gate", "Place"]

log = logging.getLogger("conformity_gate")

ASK_AGAIN = dt.timedelta(minutes=5)
ASK_TIMES = 3
"""An auditor that follows another version is not asked for ever."""


class Auditor(Protocol):
    """What the gate needs of the auditor."""

    def subjects(self) -> list[str]: ...
    def subject(self, name: str) -> Subject: ...
    def cause(self, subject: str, standing: Standing) -> Cause: ...
    def ask(self, subject: str, now: dt.datetime) -> None: ...


class Registry(Protocol):
    """What it needs of the registry."""

    def model(self, name: str) -> Model | None: ...
    def get_model_version(self, name: str, version: str) -> ModelVersion: ...
    def get_model_version_download_uri(self, name: str, version: str) -> str: ...
    def tag(self, name: str, version: str, key: str, value: str) -> None: ...
    def alias(self, name: str, alias: str, version: str | None) -> None: ...


class Cluster(Protocol):
    """What it needs of Kubernetes."""

    def service(self, namespace: str, name: str) -> Service | None: ...
    def settled(self, service: Service) -> bool: ...
    def serve(self, service: Service, version: Version) -> None: ...
    def stop(self, service: Service, version: str) -> None: ...
    def resume(self, service: Service) -> None: ...
    def announce(self, service: Service, decision: Decision) -> None: ...


@dataclass(frozen=True)
class Place:
    """Where what is served comes from and goes to."""

    namespace: str
    artefact_root: str


@dataclass
class _Seen:
    """One model as it was read."""

    subject: Subject
    model: Model
    service: Service | None
    ledger: Ledger
    world: World
    where: str


@dataclass
class _Asked:
    version: str
    at: dt.datetime | None = None
    times: int = 0


@dataclass
class Gate:
    """The controller."""

    auditor: Auditor
    registry: Registry
    cluster: Cluster
    place: Place
    policy: Policy
    metrics: Metrics = field(default_factory=Metrics)
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How each model was at the last look, for `/v1/models`."""
    _seen: dict[str, _Seen | None] = field(default_factory=dict)
    _said: dict[str, dict[str, Decision]] = field(default_factory=dict)
    """Decisions that only this process knows: those of mode `report`."""
    _asked: dict[str, _Asked] = field(default_factory=dict)

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
            subjects = self.auditor.subjects()
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

    def _look(self, name: str) -> _Seen | None:
        seen = self._read(name)
        if seen is None:
            return None
        if self._finish(seen):
            seen = self._read(name) or seen
        self._mark(seen)
        changed = False
        for move in plan(seen.world, self.policy):
            decision, new = self._decide(seen, move)
            changed |= self._carry(seen, decision, new=new)
        if changed:
            seen = self._read(name) or seen
            self._mark(seen)
        else:
            self._ask(seen)
        self._show(seen)
        return seen

    def _read(self, name: str) -> _Seen | None:
        """Read one subject; None when the registry does not have its model."""
        subject = self.auditor.subject(name)
        model = self.registry.model(subject.model)
        if model is None:
            self.models[name] = {"subject": name, "model": subject.model, "problem": "not in the registry"}
            return None
        where = subject.service or f"{self.place.namespace}/{subject.model}"
        namespace, _, service_name = where.partition("/")
        service = self.cluster.service(namespace, service_name) if namespace == self.place.namespace else None
        if service is not None and service.model != subject.model:
            service = None  # the name is somebody else's
        ledger = Ledger.of(version.tags for version in model.versions.values())
        ledger.decisions.update(self._said.get(subject.model, {}))
        digests = {
            number: version.tags["digest"] for number, version in model.versions.items() if "digest" in version.tags
        }
        world = World(
            model=subject.model,
            now=self.now(),
            versions=frozenset(model.versions),
            served=service.served if service else None,
            champion=model.aliases.get(CHAMPION),
            candidate=model.aliases.get(CANDIDATE),
            standings=standings(subject.steps, subject.assessed, digests),
            rolled_back=ledger.rolled_back(),
        )
        return _Seen(subject, model, service, ledger, world, where)

    def _decide(self, seen: _Seen, move: Move) -> tuple[Decision, bool]:
        standing = move.standing
        cause = self.auditor.cause(seen.subject.name, standing) if standing else Cause(Status.NONE.value, None, "")
        return seen.ledger.decide(
            move, cause, model=seen.model.name, mode=self.policy.mode, service=seen.where, now=self.now()
        )

    def _finish(self, seen: _Seen) -> bool:
        """Finish what a process before this one began, and close what the world has overtaken."""
        if self.policy.mode is not Mode.ENFORCE:
            return False
        pending = [each for each in seen.ledger.pending() if each.mode == Mode.ENFORCE]
        if not pending:
            return False
        again = {self._decide(seen, move)[0].id for move in plan(seen.world, self.policy)}
        for decision in pending:
            if _happened(decision, seen.world):
                self._complete(seen, decision)
            elif decision.id not in again:
                self._end(seen, decision, "overtaken")
        return True

    def _carry(self, seen: _Seen, decision: Decision, *, new: bool) -> bool:
        """Do what the mode says about a decision; say whether anything outside was changed."""
        if decision.end is not None:
            return False
        if new:
            log.info("%s (%s)", decision.message(), self.policy.mode.value)
        if self.policy.mode is Mode.REPORT:
            ended = seen.ledger.end(decision, "said")
            self._said.setdefault(seen.model.name, {})[decision.id] = ended
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

    def _apply(self, seen: _Seen, decision: Decision) -> None:
        kind, target = Kind(decision.kind), decision.target
        if kind in {Kind.PROMOTE, Kind.WITHDRAW}:
            self.registry.alias(seen.model.name, CHAMPION, target)
            return
        if seen.service is None:
            return
        if kind in {Kind.ROLLBACK, Kind.RESTORE} and target:
            version = resolve(seen.model.name, target, self.registry, self.place.artefact_root)
            self.cluster.serve(seen.service, version)
        elif kind is Kind.STOP and decision.source:
            self.cluster.stop(seen.service, decision.source)
        elif kind is Kind.RESUME:
            self.cluster.resume(seen.service)

    def _complete(self, seen: _Seen, decision: Decision) -> None:
        """Do what follows from a decision that was carried out; each part may be done twice."""
        if decision.kind == Kind.ROLLBACK and decision.source and decision.target:
            if seen.world.candidate == decision.source:
                self.registry.alias(seen.model.name, CANDIDATE, decision.target)
            at = decision.at.isoformat()
            self._tag(
                seen, decision.source, {"conformity.rolled_back_to": decision.target, "conformity.rolled_back_at": at}
            )
            self._tag(
                seen, decision.target, {"conformity.rolled_back_from": decision.source, "conformity.rolled_back_at": at}
            )
        self._announce(seen, decision)
        self._end(seen, decision, "done")

    def _announce(self, seen: _Seen, decision: Decision) -> None:
        if seen.service is not None:
            self.cluster.announce(seen.service, decision)

    def _end(self, seen: _Seen, decision: Decision, how: str) -> None:
        self._write(seen, decision, f"{END}{decision.id}", f"{how} {self.now().isoformat()}")
        seen.ledger.end(decision, how)
        if how != "overtaken":
            self.metrics.decisions.labels(decision.kind).inc()

    def _write(self, seen: _Seen, decision: Decision, key: str, value: str) -> None:
        """Put a part of the record where the decision is about; a version that was deleted has no tags."""
        for version in (decision.source, decision.target):
            if version in seen.model.versions:
                self.registry.tag(seen.model.name, str(version), key, value)
                return
        if key.startswith(END):
            self._said.setdefault(seen.model.name, {})[decision.id] = replace(decision, end=value.partition(" ")[0])

    def _tag(self, seen: _Seen, version: str, tags: dict[str, str]) -> None:
        known = seen.model.versions.get(version)
        for key, value in tags.items():
            if known is not None and known.tags.get(key) != value:
                self.registry.tag(seen.model.name, version, key, value)
                known.tags[key] = value

    def _mark(self, seen: _Seen) -> None:
        """Keep status and cause of the versions that somebody may use in their tags."""
        if self.policy.mode is Mode.REPORT:
            return
        for version, standing in _used(seen.world).items():
            if standing is not None:
                cause = self.auditor.cause(seen.subject.name, standing)
                self._tag(seen, version, {"conformity.cause": cause.body(), "conformity.status": standing.status.value})

    def _ask(self, seen: _Seen) -> None:
        """Have what is served looked at now, and a version that was rolled back when somebody wants it back."""
        world, wanted = seen.world, self._waiting(seen)
        if wanted is None:
            return
        asked = self._asked.get(seen.model.name)
        if asked is None or asked.version != wanted:
            asked = self._asked[seen.model.name] = _Asked(wanted)
        if asked.times >= ASK_TIMES or (asked.at and world.now - asked.at < ASK_AGAIN):
            return
        served = world.served is not None and world.served.version == wanted
        if served and seen.service is not None and not self.cluster.settled(seen.service):
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
        try:
            self.auditor.ask(seen.subject.name, world.now)
        except AuditorError as error:
            # It assesses by its own schedule all the same.
            self._failed("auditor", error, seen.subject.name)
        else:
            asked.times += 1

    def _waiting(self, seen: _Seen) -> str | None:
        """Return the version whose assessment nobody else may have asked for."""
        world, audited = seen.world, seen.subject.audited
        if world.candidate in world.rolled_back and audited != world.candidate:
            return world.candidate
        if world.served is None or world.served.stopped or world.candidate not in {None, world.served.version}:
            return None
        version = world.served.version
        pending = verdict(version, world, self.policy) is Verdict.PENDING
        return version if pending or audited != version else None

    def _show(self, seen: _Seen) -> None:
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
                for version, standing in _used(world).items()
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
                    version: standing.status if standing else Status.NONE for version, standing in _used(world).items()
                },
                served=(served.version, verdict(served.version, world, self.policy), self.policy.mode)
                if served and not served.stopped
                else None,
                champion=world.champion,
                ledger=seen.ledger,
            )


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


def _used(world: World) -> dict[str, Standing | None]:
    """Return the versions that somebody uses or may want to, with their standings."""
    versions = (world.served.version if world.served else None, world.champion, world.candidate)
    return {version: world.standings.get(version) for version in versions if version}
