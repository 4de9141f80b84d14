"""What is asked of the loop, and all that it has to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mlops.loop import places
from mlops.loop.ledger import Fact, Stage, StageError

__all__ = ["Options", "Outcome"]


@dataclass(frozen=True)
class Options:
    """What a person may ask of the loop."""

    example: str = "loan_approval"
    gate: float | None = None
    """Replaces the example's gate; a model below it is not registered and the loop fails."""

    keep: bool = True
    """Leave the model served."""

    timeout: float = 600
    """Seconds for all of it."""

    namespace: str = places.NAMESPACE
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the pipeline, in place of the example's own."""

    scenario: str = ""
    """Name of what is done to the platform on purpose; empty where nothing is."""


@dataclass
class Outcome:
    """All that the loop has to show."""

    example: str
    cluster: str
    run: str = ""
    run_id: str = ""
    version: str = ""
    digest: str = ""
    seconds: float = 0.0
    user_code_seconds: float = 0.0
    """What the steps that belong to the example's author took: everything before the model is registered."""

    urls: dict[str, str] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    queries: dict[str, Any] = field(default_factory=dict)
    pipeline: dict[str, Any] = field(default_factory=dict)
    scenario: str = ""
    model_exit_code: int = 0
    """What the loop says of the model: a scenario in which a bad model is caught is a success, and the model is bad."""

    record: dict[str, Any] = field(default_factory=dict)
    """Of a scenario: what was found, at which risk, and what became of it."""

    failure: StageError | None = None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it, keys in camelCase."""
        failure = self.failure and {
            "stage": self.failure.stage,
            "object": self.failure.subject,
            "reason": self.failure.reason,
            "fix": self.failure.fix,
        }
        return {
            "ok": self.failure is None,
            "example": self.example,
            "cluster": self.cluster,
            "run": self.run,
            "runId": self.run_id,
            "version": self.version,
            "digest": self.digest,
            "seconds": round(self.seconds, 2),
            "userCodeSeconds": round(self.user_code_seconds, 2),
            "urls": self.urls,
            "stages": [asdict(stage) for stage in self.stages],
            "facts": [asdict(fact) for fact in self.facts],
            "queries": self.queries,
            "pipeline": self.pipeline,
            **(
                {"scenario": self.scenario, "modelExitCode": self.model_exit_code, "record": self.record}
                if self.scenario
                else {}
            ),
            "failure": failure,
        }
