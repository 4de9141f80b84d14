"""What the stages of one loop share: whom they talk to, and what earlier ones found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlops.loop import places, sample
from mlops.loop.alerts import Alertmanager
from mlops.loop.auditor import Auditor
from mlops.loop.cluster import Cluster
from mlops.loop.decisions import Decision
from mlops.loop.gate import Gate
from mlops.loop.jobs import Run
from mlops.loop.ledger import Ledger
from mlops.loop.metrics import Prometheus
from mlops.loop.model_monitor import ModelMonitor
from mlops.loop.monitoring import Counts, Monitoring
from mlops.loop.outcome import Options, Outcome
from mlops.loop.prediction_log import PredictionLog
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

    assessment: dict[str, Any]
    """The auditor's latest assessment that was asked for, with its status, leaves and findings."""

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
        found = self.places
        # Each is None where the stack does not have it.
        self.log = PredictionLog(cluster, found.prediction_log) if found.prediction_log else None
        self.monitor = ModelMonitor(cluster, found.monitor) if found.monitor else None
        self.alerts = Alertmanager(cluster, found.alerts) if found.alerts else None
        self.auditor = Auditor(cluster, found.auditor, found.auditor_collect) if found.auditor else None
        self.gate = Gate(cluster, found.gate) if found.gate else None
        self.decisions: list[Decision] = []
        """What was answered about held-out rows, as it should be in the prediction log."""

        self.sent: dict[str, int] = {}
        """Predictions asked from outside, by protocol."""

        self.outcome = Outcome(example=options.example, cluster=cluster.server)
        self.outcome.urls = {
            "mlflow": self.places.mlflow,
            "model": self.serving.url,
            **{
                name: url
                for name, url in (
                    ("prometheus", found.prometheus),
                    ("alertmanager", found.alerts),
                    ("predictionLog", found.prediction_log),
                    ("modelMonitor", found.monitor),
                    ("auditor", found.auditor),
                    ("conformityGate", found.gate),
                )
                if url
            },
        }

    @property
    def mlflow(self) -> str:
        """Name the registry as a source of facts."""
        return f"MLflow {self.places.mlflow}"
