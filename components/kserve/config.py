"""What an order form may say about model serving, and the pin of KServe."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from components._core.artefacts import GoModule
from components._core.config import ComponentConfig, DnsName, Resources, Settings

__all__ = ["LATENCIES", "UPSTREAM", "KserveConfig", "Objectives"]

UPSTREAM = GoModule("github.com/kserve/kserve", "v0.20.0", "h1:Bs7HxmGV4KFqqptDcWseKv+mwD4YOYHJWcuVgPG2Gug=")
"""Definitions, roles and webhooks are read from here; the hash is the one in toolchain/kserve/go.sum."""

Interval = Annotated[str, pydantic.StringConstraints(pattern=r"^[1-9][0-9]*(s|m)$")]
"""A Prometheus duration: `5s`, `1m`."""

Latency = Literal["10ms", "25ms", "50ms", "100ms", "250ms", "500ms", "1s", "2500ms", "5s"]

LATENCIES: dict[Latency, float] = {
    "10ms": 0.01,
    "25ms": 0.025,
    "50ms": 0.05,
    "100ms": 0.1,
    "250ms": 0.25,
    "500ms": 0.5,
    "1s": 1.0,
    "2500ms": 2.5,
    "5s": 5.0,
}
"""Bounds of the model server's histogram in seconds: only at these can it be told how many answers came in time."""

Share = Annotated[float, pydantic.Field(ge=0.95, lt=1)]
"""A share of requests. Below 0.95 the budget cannot be used up quickly enough to be told apart from an outage."""


class Objectives(Settings):
    """How well a model is to answer. A request that is no valid one counts in neither."""

    availability: Share = 0.99
    """Share of requests that must not fail."""

    latency: Share = 0.95
    """Share of answers that must come in time."""

    within: Latency = "500ms"
    """What in time is, from the decoded request to its answer."""


class KserveConfig(ComponentConfig):
    """KServe without Knative, Istio and cert-manager, and one namespace that models are served from."""

    namespace: DnsName = "models"
    """Namespace that InferenceServices are put into. It enforces Pod Security `restricted`."""

    controller: Resources = Resources.model_validate(
        {"cpu": "20m", "memory": "64Mi", "cpuLimit": "1", "memoryLimit": "300Mi"}
    )
    """Requests and limits of KServe's controller."""

    predictor: Resources = Resources.model_validate(
        {"cpu": "50m", "memory": "320Mi", "cpuLimit": "1", "memoryLimit": "1Gi"}
    )
    """Requests and limits of a model server, unless an InferenceService names its own."""

    storage: Resources = Resources.model_validate(
        {"cpu": "50m", "memory": "128Mi", "cpuLimit": "1", "memoryLimit": "1Gi"}
    )
    """Requests and limits of the init container that fetches a model."""

    scrape_interval: Interval = "5s"
    """How often Prometheus reads the counters of a model server."""

    objectives: Objectives = Objectives()
    """Service level of every model; alerts say when it is missed or soon will be."""
