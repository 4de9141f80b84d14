"""What a platform in memory is put together from: pods, monitors, and parts that answer for themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops.loop.cluster import Answer

if TYPE_CHECKING:
    from tests.support.loop import FakePlatform

__all__ = ["Part", "answered", "monitor", "pod"]


def pod(name: str, uri: str, **status: Any) -> dict[str, Any]:
    """Return a predictor pod that fetched `uri`."""
    return {
        "metadata": {
            "name": name,
            "namespace": "models",
            "labels": {"serving.kserve.io/inferenceservice": "loan-approval"},
        },
        "spec": {
            "initContainers": [{"args": [uri, "/mnt/models"]}],
            "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}],
        },
        "status": {"phase": "Running", **status},
    }


def monitor(**spec: Any) -> dict[str, Any]:
    """Return a monitor that has predictor pods read, or what `spec` makes of it."""
    chosen = {"matchExpressions": [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]}
    return {
        "metadata": {"name": "predictors", "namespace": "models", "labels": {"platform": "ours"}},
        "spec": {"selector": chosen, "podMetricsEndpoints": [{"port": "http", "path": "/metrics"}], **spec},
    }


class Part:
    """A service that watches: a name, a namespace, and what it answers."""

    name: str
    replicas = 1

    @property
    def url(self) -> str:
        """Return where the loop finds it."""
        return f"http://{self.name}.{self.name}.svc:8080"

    def service(self) -> dict[str, Any]:
        """Return its Service."""
        return {
            "metadata": {"name": self.name, "namespace": self.name},
            "spec": {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 8080}]},
        }

    def answer(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Answer:
        """Answer one request; without replicas nobody does."""
        if not self.replicas:
            return Answer(503, {}, "no endpoints available")
        if path == "/readyz":
            return Answer(200, {}, "")
        found = self.said(platform, path, body, query)
        return Answer(404, {}, "") if found is None else answered(found)

    def said(self, platform: FakePlatform, path: str, body: Any, query: Mapping[str, str]) -> Any:
        """Return the body of an answer, None for 404."""
        raise NotImplementedError


def answered(body: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(200, headers or {}, json.dumps(body))
