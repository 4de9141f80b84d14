"""What the gate stands between: as much of auditor, registry and cluster as it needs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from platform_runtime.conformity_gate.auditor import Subject
from platform_runtime.conformity_gate.cluster import Service
from platform_runtime.conformity_gate.decision import Cause, Decision
from platform_runtime.conformity_gate.registry import Model, ModelVersion
from platform_runtime.conformity_gate.standing import Standing
from platform_runtime.deployment import Version

__all__ = ["Auditor", "Cluster", "Place", "Registry", "Sides"]


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


@dataclass(frozen=True)
class Sides:
    """All of them."""

    auditor: Auditor
    registry: Registry
    cluster: Cluster
    place: Place
