"""What the stages of one loop share: whom they talk to, and what earlier ones found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlops.loop import places, sample
from mlops.loop.cluster import Cluster
from mlops.loop.jobs import Run
from mlops.loop.ledger import Ledger
from mlops.loop.metrics import Prometheus
from mlops.loop.monitoring import Counts, Monitoring
from mlops.loop.outcome import Options, Outcome
from mlops.loop.registry import Registered, Registry
from mlops.loop.serving import Served, Serving

__all__ = ["Context"]


class Context:
    """One loop under way. Raises OperationError when the platform lacks a part."""

    # Each is set by the stage that finds it out.
    before: Served | None
    """What was served when the loop began."""

    known: list[int]
    """Versions there were when the loop began."""

    arguments: dict[str, Any]
    """What the pipeline was given."""

    run: Run
    registered: Registered
    counts: Counts | None = None
    """What Prometheus counted before anything was asked from outside; None where the stack has no metrics store."""

    settling: float = 0.0
    """Seconds until Prometheus had counted all of that."""

    def __init__(
        self, cluster: Cluster, options: Options, ledger: Ledger, begun: Callable[[str], None], deadline: float
    ) -> None:
        self.cluster = cluster
        self.options = options
        self.ledger = ledger
        self.begun = begun
        self.deadline = deadline
        self.sample = sample.load(options.example)
        self.places = places.find(cluster, options.namespace)
        self.registry = Registry(cluster, self.places.mlflow)
        self.serving = Serving(cluster, self.places.serving, self.sample.model)
        self.prometheus = Prometheus(cluster, self.places.prometheus) if self.places.prometheus else None
        self.monitoring = Monitoring(cluster, self.prometheus, self.serving) if self.prometheus else None
        self.sent: dict[str, int] = {}
        """Predictions asked from outside, by protocol."""

        self.outcome = Outcome(example=options.example, cluster=cluster.server)
        self.outcome.urls = {
            "mlflow": self.places.mlflow,
            "model": self.serving.url,
            **({"prometheus": self.places.prometheus} if self.places.prometheus else {}),
        }

    @property
    def mlflow(self) -> str:
        """Name the registry as a source of facts."""
        return f"MLflow {self.places.mlflow}"
