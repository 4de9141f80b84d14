"""What an order form may say about model serving, and the pin of KServe."""

from __future__ import annotations

from typing import Annotated

import pydantic

from components._core.artefacts import GoModule
from components._core.config import ComponentConfig, DnsName, Resources

__all__ = ["UPSTREAM", "KserveConfig"]

UPSTREAM = GoModule("github.com/kserve/kserve", "v0.20.0", "h1:Bs7HxmGV4KFqqptDcWseKv+mwD4YOYHJWcuVgPG2Gug=")
"""Definitions, roles and webhooks are read from here; the hash is the one in toolchain/kserve/go.sum."""

Interval = Annotated[str, pydantic.StringConstraints(pattern=r"^[1-9][0-9]*(s|m)$")]
"""A Prometheus duration: `5s`, `1m`."""


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
