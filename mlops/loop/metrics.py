"""Prometheus, asked over its own HTTP interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mlops.loop.cluster import Cluster, place
from mlops.loop.diagnosis import service_trouble
from mlops.loop.ledger import StageError

__all__ = ["Prometheus", "Sample"]

STAGE = "monitoring"


@dataclass(frozen=True)
class Sample:
    """One series' value now."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """Prometheus at an in-cluster URL. `queries` keeps the last answer to every query, as evidence."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster = cluster
        self.url = url
        self.queries: dict[str, list[dict[str, Any]]] = {}

    def check(self) -> None:
        """Raise StageError when it is not ready, with the workload's state."""
        answer = self._cluster.ask(self.url, "/-/ready")
        if not answer.good:
            self._silent(answer.status, answer.text)

    def targets(self, namespace: str) -> list[dict[str, Any]]:
        """Return the active targets in a namespace."""
        found = self._api("targets", state="active").get("activeTargets") or []
        return [target for target in found if target["labels"].get("namespace") == namespace]

    def query(self, expression: str) -> list[Sample]:
        """Return the answer to an instant query."""
        result = self._api("query", query=expression)["result"]
        self.queries[expression] = [{"labels": entry["metric"], "value": entry["value"][1]} for entry in result]
        return [Sample(entry["metric"], float(entry["value"][1])) for entry in result]

    def _api(self, method: str, **query: str) -> dict[str, Any]:
        answer = self._cluster.ask(self.url, f"/api/v1/{method}", query=query)
        if not answer.good:
            self._silent(answer.status, answer.text)
        found: dict[str, Any] = answer.json()["data"]
        return found

    def _silent(self, status: int, text: str) -> NoReturn:
        namespace, service, _ = place(self.url)
        trouble = service_trouble(self._cluster, namespace, service) or f"HTTP {status}: {text[:200]}"
        raise StageError(
            STAGE, f"Prometheus {self.url}", f"does not answer: {trouble}", fix=f"kubectl -n {namespace} get pods"
        )
