"""Prometheus, asked through the cluster or at an address, for values now and over time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from components._core import paths
from mlops.errors import OperationError
from mlops.loop.cluster import Answer, Cluster

__all__ = ["Prometheus", "RefusedError", "at", "in_cluster"]

SELECTOR = f"app.kubernetes.io/name=prometheus,app.kubernetes.io/part-of={paths.APPLICATION}"

SECONDS = 30
"""For one answer."""


class RefusedError(Exception):
    """Prometheus does not take this query; the message is its own."""


@dataclass(frozen=True)
class Prometheus:
    """Whoever answers at `ask(path, query)`."""

    name: str
    ask: Callable[[str, Mapping[str, str]], Answer]

    def now(self, expression: str, time: float) -> list[dict[str, Any]]:
        """Return the series of an instant query: `metric` and `value`."""
        return self._query("query", query=expression, time=f"{time:.3f}")

    def over(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of a query over time: `metric` and `values`."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._query("query_range", query=expression, **times)

    def _query(self, method: str, **query: str) -> list[dict[str, Any]]:
        answer = self.ask(f"/api/v1/{method}", query)
        try:
            body = answer.json()
        except json.JSONDecodeError:
            body = {}
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY} and "error" in body:
            raise RefusedError(body["error"])
        if not answer.good or "data" not in body:
            msg = f"Prometheus {self.name} does not answer: HTTP {answer.status}: {answer.text[:200]}"
            raise OperationError(msg, fix="mlops status")
        data = body["data"]
        if data["resultType"] in {"scalar", "string"}:
            return [{"metric": {}, "value": data["result"]}]
        found: list[dict[str, Any]] = data["result"]
        return found


def in_cluster(cluster: Cluster) -> Prometheus:
    """Return the platform's own. Raises OperationError when there is none."""
    services = cluster.items("/api/v1/services", labelSelector=SELECTOR)
    if not services:
        msg = "the cluster has no Prometheus of the platform: no Service is labelled as one"
        raise OperationError(msg, fix="add `prometheus` to the stack's order form and run `mlops up`")
    service = services[0]
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    url = f"http://{name}.{namespace}.svc:{service['spec']['ports'][0]['port']}"
    return Prometheus(url, lambda path, query: cluster.ask(url, path, query=query, timeout=SECONDS))


def at(url: str) -> Prometheus:
    """Return the one at an address that is reached from here."""
    import httpx

    def ask(path: str, query: Mapping[str, str]) -> Answer:
        try:
            answer = httpx.get(f"{url.rstrip('/')}{path}", params=dict(query), timeout=SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            msg = f"Prometheus {url} does not answer: {str(error) or type(error).__name__}"
            raise OperationError(msg, fix="give the address of a Prometheus that is reached from here") from error
        return Answer(answer.status_code, answer.headers, answer.text)

    return Prometheus(url, ask)
