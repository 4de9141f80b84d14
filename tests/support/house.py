"""A small catalogue of its own, so that tests of order forms do not change when a component is added."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from components._core.catalogue import Catalogue
from components._core.config import ComponentConfig, DnsName, Quantity, Resources, Settings
from components._core.contracts import (
    AlertRouter,
    Contract,
    ExperimentTracker,
    KubernetesCluster,
    MetricsStore,
    ObjectStore,
    SqlDatabase,
)

__all__ = ["HOUSE"]


class Backup(Settings):
    """Copies."""

    keep_days: Annotated[int, pydantic.Field(ge=1, le=90)] = 7
    """Days a copy is kept."""

    password: str | None = None
    """Encrypts the copies."""


class ClusterConfig(ComponentConfig):
    """A cluster."""

    name: DnsName | None = None
    """Its name."""


class DatabaseConfig(ComponentConfig):
    """A database."""

    storage: Quantity = "1Gi"
    """Size of the volume."""

    replicas: Annotated[int, pydantic.Field(ge=1, le=5)] = 1
    """Servers."""

    flavour: Literal["small", "medium", "large"] = "small"
    """Settings for a size of load."""

    tls: bool = True
    """Encrypted connections."""

    backup: Backup = Backup()
    """Copies."""

    extensions: tuple[DnsName, ...] = ()
    """Extensions to load."""

    resources: Resources = Resources()
    """Requests and limits."""


class StoreConfig(ComponentConfig):
    """A store."""

    region: str
    """Region that clients are told."""


def component(
    config: type[ComponentConfig],
    *,
    requires: tuple[type[Contract], ...] = (KubernetesCluster,),
    provides: tuple[type[Contract], ...] = (),
) -> Any:
    return type("Fake", (), {"config_class": config, "requires": requires, "uses": (), "provides": provides})


HOUSE: Catalogue = {
    "kindCluster": component(ClusterConfig, requires=(), provides=(KubernetesCluster,)),
    "existingCluster": component(ClusterConfig, requires=(), provides=(KubernetesCluster,)),
    "postgres": component(DatabaseConfig, provides=(SqlDatabase,)),
    "objectStore": component(StoreConfig, provides=(ObjectStore,)),
    "mlflow": component(
        ComponentConfig, requires=(KubernetesCluster, SqlDatabase, ObjectStore), provides=(ExperimentTracker,)
    ),
    "metrics": component(ComponentConfig, requires=(KubernetesCluster, AlertRouter), provides=(MetricsStore,)),
    "alerts": component(ComponentConfig, requires=(KubernetesCluster, MetricsStore), provides=(AlertRouter,)),
}
"""Components by their key; `metrics` and `alerts` need each other."""
