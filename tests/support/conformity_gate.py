"""A small world for the conformity gate: auditor with the real status machine, registry and cluster in memory.

Every write can be the last one of a process: the fuse burns before it, or after it.
"""

from __future__ import annotations

import copy
import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cabc.document.model import StatusPolicy
from cabc.engine.status import Outcome, step
from cabc.interfaces.base import SubjectFacts
from cabc.record.types import Assessment, StatusRecord, Trigger, Verdict

from components._core import paths

sys.path.insert(0, str(paths.CHECKOUT / "images" / "python"))

from platform_runtime.conformity_gate.auditor import AuditorError, Subject
from platform_runtime.conformity_gate.cluster import STOP, STOPPED, Service
from platform_runtime.conformity_gate.decision import Cause, Decision
from platform_runtime.conformity_gate.gate import Gate
from platform_runtime.conformity_gate.plan import Mode, Policy
from platform_runtime.conformity_gate.registry import Model, ModelVersion, RegistryError
from platform_runtime.conformity_gate.sides import Place
from platform_runtime.conformity_gate.standing import Assessed, Standing, Step
from platform_runtime.conformity_gate.standing import Status as GateStatus
from platform_runtime.deployment import Version, inference_service
from platform_runtime.registration import aliases

__all__ = [
    "ENFORCE",
    "MODEL",
    "START",
    "KilledError",
    "Quality",
    "Trial",
    "made",
    "metrics",
    "polled",
    "running",
    "unfair",
]

MODEL = "loan-approval"
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
Quality = Literal["good", "light", "grave"]


class KilledError(BaseException):
    """The process ended here; nothing catches it."""


@dataclass
class Fuse:
    """Ends the process at a chosen write."""

    left: int | None = None
    writes: int = 0

    @contextmanager
    def write(self) -> Iterator[None]:
        """Count a write; an odd number left ends the process before it, an even one after it."""
        self.writes += 1
        self._burn()
        yield
        self._burn()

    def _burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                self.left = None
                raise KilledError


@dataclass
class Trial:
    """The world, and a gate in it."""

    policy: Policy
    now: dt.datetime = START
    fuse: Fuse = field(default_factory=Fuse)
    away: set[str] = field(default_factory=set)
    quality: dict[str, Quality] = field(default_factory=dict)
    waived: bool = False
    status_policy: StatusPolicy = field(default_factory=StatusPolicy)
    records: list[StatusRecord] = field(default_factory=list)
    assessments: dict[str, Assessment] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    """Aliases."""
    service_object: dict[str, Any] | None = None
    events: dict[str, Decision] = field(default_factory=dict)
    traffic: list[tuple[str | None, str]] = field(default_factory=list)
    """Changes of what is served that the gate made."""
    asked: list[str] = field(default_factory=list)
    pods_ready: bool = True
    gate: Gate = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Start a new process, which knows nothing."""
        self.gate = Gate(
            auditor=self,
            registry=self,
            cluster=self,
            place=Place("models", "s3://bucket/artifacts"),
            policy=self.policy,
            now=lambda: self.now,
        )

    # What people, pipelines and the auditor do.

    def wait(self, seconds: float = 1) -> None:
        """Let time pass."""
        self.now += dt.timedelta(seconds=seconds)

    def register(self, quality: Quality = "good") -> str:
        """Register a version as a pipeline does; return it."""
        version = str(len(self.versions) + 1)
        self.versions[version] = {"digest": f"sha256:{version:0>64}"}
        self.quality[version] = quality
        for alias in aliases("champion", {"CONFORMITY_GATE": self.policy.mode.value}):
            self.named[alias] = version
        return version

    def deploy(self, version: str) -> None:
        """Serve a version as a pipeline does."""
        wanted = Version(MODEL, version, f"run-{version}", self.versions[version]["digest"], f"s3://bucket/{version}")
        manifest = inference_service(MODEL, "models", wanted, runtime="mlflow", account="models")
        if self.service_object is None:
            self.service_object = manifest
        else:
            self.service_object["metadata"]["annotations"] |= manifest["metadata"]["annotations"]
            self.service_object["spec"] = manifest["spec"]

    def assess(self, *, complete: bool = True, version: str | None = None) -> str:
        """Assess what the candidate is; return the assessment's id."""
        version = version or self.named.get("candidate")
        self.wait()
        id_ = f"a{len(self.assessments) + 1}"
        quality = self.quality.get(version or "", "good")
        failing = quality != "good"
        made = Assessment(
            id=id_,
            collection=f"c-{id_}",
            subject=SubjectFacts(
                name=MODEL,
                registered_model=MODEL,
                version=version,
                digest=self.versions[version]["digest"] if version else None,
                inference_service=f"models/{MODEL}",
            ),
            specification=f"sha256:{'0' * 64}",
            specification_id="loan",
            specification_version=1,
            mode="self-assessment",
            trigger=Trigger(id=f"t-{id_}", kind="manual", source="test", subject=MODEL, received=self.now),
            started=self.now,
            ended=self.now + dt.timedelta(milliseconds=500),
            verdict=Verdict.NOT_SATISFIED if failing else Verdict.SATISFIED,
            complete=complete,
            engine_version="0",
        )
        grave, light = quality == "grave" and not self.waived, quality == "light" and not self.waived
        outcome = Outcome(
            due=None if complete else frozenset({"fairness/bias"}),
            grave=("fairness/bias",) if grave else (),
            light=("fairness/bias",) if light else (),
            waived=("fairness/bias",) if failing and self.waived else (),
            satisfied=1 if failing else 2,
        )
        previous = self.records[-1] if self.records else None
        record = step(made, self.status_policy, outcome, list(reversed(self.outcomes)), previous)
        self.assessments[id_] = made
        self.outcomes.append(outcome)
        if record is not None:
            self.records.append(record)
        self.wait()
        return id_

    def poll(self) -> bool:
        """Let the gate look once."""
        self.wait()
        return self.gate.poll()

    def settle(self) -> None:
        """Let the gate look until it has nothing more to do."""
        before = None
        for _ in range(12):
            self.poll()
            state = (self.state, self.fuse.writes)
            if state == before:
                return
            before = state
        msg = f"the gate does not come to rest: {[each.message() for each in self.gate.decisions()][:6]}"
        raise AssertionError(msg)

    @property
    def served(self) -> str | None:
        """The version that is served."""
        found = self.service("models", MODEL) if self.service_object else None
        return found.served.version if found and found.served else None

    @property
    def stopped(self) -> bool:
        """Whether the service has no pods."""
        assert self.service_object
        return self.service_object["metadata"]["annotations"].get(STOP) == "true"

    @property
    def state(self) -> tuple[str | None, ...]:
        """What people see."""
        return (self.served, self.named.get("champion"), self.named.get("candidate"))

    # The auditor, as the gate sees it.

    def subjects(self) -> list[str]:
        if "auditor" in self.away:
            raise AuditorError("away")
        return [MODEL]

    def subject(self, name: str) -> Subject:
        steps = tuple(
            Step(each.since, GateStatus(each.status.value), each.version, each.assessment, each.cause, each.actor)
            for each in reversed(self.records)
        )
        assessed = {
            each.id: Assessed(each.id, each.subject.version, each.subject.digest, each.complete, each.ended)
            for each in self.assessments.values()
        }
        last = next(reversed(self.assessments.values()), None)
        return Subject(name, MODEL, f"models/{MODEL}", last.subject.version if last else None, steps, assessed)

    def cause(self, _subject: str, standing: Standing) -> Cause:
        failing = ("fairness/bias",) if standing.status is not GateStatus.CONFORMANT else ()
        risks = ("R1",) if failing else ()
        return Cause(standing.status.value, standing.assessment, standing.text, failing, risks)

    def ask(self, subject: str, _now: dt.datetime) -> None:
        self.asked.append(subject)

    # The registry.

    def model(self, name: str) -> Model:
        if "registry" in self.away:
            raise RegistryError("away")
        found = {version: self.get_model_version(name, version) for version in self.versions}
        return Model(name, dict(self.named), found)

    def get_model_version(self, _name: str, version: str) -> ModelVersion:
        return ModelVersion(version, f"run-{version}", dict(self.versions[version]))

    def get_model_version_download_uri(self, _name: str, version: str) -> str:
        return f"s3://bucket/{version}"

    def tag(self, _name: str, version: str, key: str, value: str) -> None:
        with self.fuse.write():
            if key.startswith(("conformity.decision.", "conformity.end.")):
                assert self.versions[version].get(key, value) == value, "the record was changed"
            self.versions[version][key] = value

    def alias(self, _name: str, alias: str, version: str | None) -> None:
        with self.fuse.write():
            if version is None:
                self.named.pop(alias, None)
            else:
                self.named[alias] = version

    # The cluster.

    def service(self, namespace: str, name: str) -> Service | None:
        return Service(namespace, name, copy.deepcopy(self.service_object)) if self.service_object else None

    def settled(self, _service: Service) -> bool:
        return self.pods_ready

    def serve(self, service: Service, version: Version) -> None:
        with self.fuse.write():
            self.traffic.append((self.served, version.version))
            self._annotate({STOP: None, STOPPED: None} if service.served and service.served.stopped else {})
            assert self.service_object
            told = inference_service(service.name, service.namespace, version, runtime="mlflow", account="models")
            self.service_object["metadata"]["annotations"] |= told["metadata"]["annotations"]
            self.service_object["spec"]["predictor"]["model"]["storageUri"] = version.uri

    def stop(self, _service: Service, version: str) -> None:
        with self.fuse.write():
            self._annotate({STOP: "true", STOPPED: version})

    def resume(self, _service: Service) -> None:
        with self.fuse.write():
            self._annotate({STOP: None, STOPPED: None})

    def announce(self, _service: Service, decision: Decision) -> None:
        with self.fuse.write():
            self.events[decision.id] = replace(decision, end=None)

    def _annotate(self, changes: dict[str, str | None]) -> None:
        assert self.service_object
        annotations = self.service_object["metadata"]["annotations"]
        for key, value in changes.items():
            annotations.pop(key, None)
            if value is not None:
                annotations[key] = value


ENFORCE = Policy(mode=Mode.ENFORCE)


def running(policy: Policy = ENFORCE) -> Trial:
    """Return a world in which version 1 is conformant, served and champion."""
    trial = Trial(policy)
    trial.deploy(trial.register())
    trial.assess()
    trial.settle()
    return trial


def unfair(policy: Policy = ENFORCE) -> Trial:
    """Return a world in which version 2, which is served now, was just suspended."""
    trial = running(policy)
    trial.deploy(trial.register("grave"))
    trial.settle()
    trial.assess()
    return trial


def made(trial: Trial) -> list[tuple[str, str | None, str | None]]:
    return [(each.kind, each.source, each.target) for each in reversed(trial.gate.decisions())]


def metrics(trial: Trial) -> str:
    return trial.gate.metrics.text().decode()


def polled(trial: Trial) -> float:
    (line,) = [each for each in metrics(trial).splitlines() if each.startswith("conformity_gate_last_poll")]
    return float(line.split()[1])
