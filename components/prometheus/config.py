"""What an order form may say about metrics and alerts, and the pins of their programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pydantic

from components._core.artefacts import GoModule
from components._core.config import ComponentConfig, DnsName, Quantity, Resources, Settings
from components._core.rules import Owner, Severity

__all__ = ["ALERTMANAGER", "PROMETHEUS", "UPSTREAM", "Duration", "PrometheusConfig", "Receiver", "Webhook"]

UPSTREAM = GoModule(
    "github.com/prometheus-operator/prometheus-operator", "v0.85.0", "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)
"""Custom resource definitions are read from here; the hash is the one in toolchain/prometheus-operator/go.sum."""

PROMETHEUS = "v3.13.5"
"""Version of the image `images/prometheus`; the operator writes the configuration that this version reads."""

ALERTMANAGER = "v0.31.1"
"""Version of the image `images/alertmanager`."""

Duration = Annotated[str, pydantic.StringConstraints(pattern=r"^[1-9][0-9]*(s|m|h|d|w)$")]
"""A Prometheus duration: `10s`, `15d`."""

Webhook = Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[^\s]+$")]
"""A URL that alerts are posted to."""


class Receiver(Settings):
    """Somebody who is told of alerts, by a webhook in Alertmanager's format."""

    url: Webhook
    """Where alerts are posted to. Encrypt it when it is all that one needs to post there."""

    bearer_token: pydantic.SecretStr | None = None
    """Sent along as `Authorization: Bearer`; an encrypted value."""

    owners: tuple[Owner, ...] = ()
    """Whose alerts; with none, everybody's."""

    severities: Annotated[tuple[Severity, ...], pydantic.Field(min_length=1)] = ("critical", "warning")
    """How serious they are; `none` is the watchdog, which then arrives every five minutes while all is well."""


class PrometheusConfig(ComponentConfig):
    """The operator, one Prometheus, one Alertmanager, kube-state-metrics, and rules that hold for every platform."""

    scrape_interval: Duration = "10s"
    """How often targets are read that name no interval of their own, and how often rules are evaluated."""

    retention: Duration = "7d"
    """How long samples are kept."""

    storage: Quantity = "5Gi"
    """Size of the volume of Prometheus; older samples go before it is full."""

    receivers: Mapping[DnsName, Receiver] = pydantic.Field(default={})
    """Who is told of alerts, by a name of your own. With none, alerts are seen in the API of Alertmanager and by the
    programs of the platform that asked for them."""

    prometheus: Resources = Resources.model_validate(
        {"cpu": "50m", "memory": "96Mi", "cpuLimit": "1", "memoryLimit": "768Mi"}
    )
    """Requests and limits of Prometheus."""

    alertmanager: Resources = Resources.model_validate(
        {"cpu": "10m", "memory": "32Mi", "cpuLimit": "200m", "memoryLimit": "128Mi"}
    )
    """Requests and limits of Alertmanager."""

    operator: Resources = Resources.model_validate(
        {"cpu": "20m", "memory": "64Mi", "cpuLimit": "500m", "memoryLimit": "256Mi"}
    )
    """Requests and limits of the operator."""

    kube_state_metrics: Resources = Resources.model_validate(
        {"cpu": "10m", "memory": "48Mi", "cpuLimit": "200m", "memoryLimit": "128Mi"}
    )
    """Requests and limits of kube-state-metrics."""

    reloader: Resources = Resources.model_validate(
        {"cpu": "5m", "memory": "16Mi", "cpuLimit": "100m", "memoryLimit": "64Mi"}
    )
    """Requests and limits of the sidecars that tell Prometheus and Alertmanager of a new configuration."""
