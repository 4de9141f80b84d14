"""Collect what a card is made of: registry, run, latest report of the monitor, status at the auditor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlops.errors import OperationError
from mlops.loop.auditor import Auditor
from mlops.loop.cluster import Cluster
from mlops.loop.ledger import StageError
from mlops.loop.model_monitor import ModelMonitor
from mlops.loop.places import Places
from mlops.loop.registry import Registered, Registry

__all__ = ["FACTS", "Gathered", "gather"]

FACTS = "card/facts.json"
"""Artefact of a version's run with what was known when it was registered (platform_runtime.model_card writes it)."""


@dataclass(frozen=True)
class Gathered:
    """All that is known of one version. Where a part could not be had, a sentence says why."""

    version: Registered
    run: dict[str, Any]
    facts: dict[str, Any]
    monitoring: dict[str, Any] | None = None
    unmonitored: str = ""
    conformity: dict[str, Any] | None = None
    unaudited: str = ""


def gather(cluster: Cluster, places: Places, name: str, version: str | None = None) -> Gathered:
    """Collect all of it; without `version` the one behind alias champion. Raises OperationError without facts."""
    registry = Registry(cluster, places.mlflow)
    found = registry.version(name, version) if version else registry.champion(name)
    if found is None:
        wanted = f"version {version}" if version else "version with alias champion"
        msg = f"model {name} has no {wanted}"
        raise OperationError(msg, fix="mlops card MODEL --version VERSION")
    facts = registry.run_document(found, FACTS)
    if facts is None:
        msg = f"run {found.run_id} of model {name} version {found.version} has no artefact {FACTS}"
        raise OperationError(msg, fix="register the model with platform_runtime.model_card, as examples/ do")
    monitoring, unmonitored = _monitoring(cluster, places, found)
    conformity, unaudited = _conformity(cluster, places, name)
    return Gathered(found, registry.run(found.run_id), facts, monitoring, unmonitored, conformity, unaudited)


def _monitoring(cluster: Cluster, places: Places, found: Registered) -> tuple[dict[str, Any] | None, str]:
    if places.monitor is None:
        return None, "This platform has no model monitor."
    try:
        report = ModelMonitor(cluster, places.monitor).report(found.name, found.version)
    except StageError as error:
        return None, f"The model monitor could not be asked: {error.reason}."
    return report, "" if report else "The model monitor has not measured this version."


def _conformity(cluster: Cluster, places: Places, name: str) -> tuple[dict[str, Any] | None, str]:
    if places.auditor is None:
        return None, "This platform has no auditor."
    try:
        status = Auditor(cluster, places.auditor).subject(name)
    except StageError as error:
        return None, f"The auditor could not be asked: {error.reason}."
    return status, "" if status else f"The auditor has no subject {name}."
