"""One scenario under way: what its acts have in common."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlops.errors import OperationError
from mlops.loop import waiting
from mlops.loop.auditor import FAILING
from mlops.loop.cluster import Cluster
from mlops.loop.context import Context
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.loop import CLOSE, TRAIN, WATCH
from mlops.loop.outcome import Options, Outcome
from mlops.loop.stages import audit, gate, serving

__all__ = ["FAIR", "RISK", "Play"]

FAIR = "data-governance/fair-at-training"
"""The requirement of the example's specification that an unfair model does not satisfy."""

RISK = "unfair-decisions"
"""The risk that it mitigates."""

PARTS = {
    "prediction log": "predictionLog",
    "model monitor": "modelMonitor",
    "metrics store": "prometheus",
    "auditor": "cabcAuditor",
}

ROLLED_BACK_SECONDS = 240.0
"""Within this time the gate has seen a suspension, and the version before answers again."""


class Play:
    """All acts write into one ledger; the record says what came of it."""

    def __init__(self, cluster: Cluster, options: Options, ledger: Ledger, begun: Callable[[str], None]) -> None:
        self.cluster = cluster
        self.options = options
        self.ledger = ledger
        self.begun = begun
        self.record: dict[str, Any] = {}
        self.model_exit_code = 0
        self.last: Context | None = None
        """The latest act."""

    def act(self, arguments: Mapping[str, Any] | None = None) -> Context:
        """Begin an act: a loop of its own over the same platform."""
        options = replace(self.options, arguments=arguments or {})
        self.last = Context(self.cluster, options, self.ledger, self.begun, time.monotonic() + options.timeout)
        return self.last

    def needs(self, context: Context, *parts: str) -> None:
        """Raise OperationError where the stack lacks a part that the scenario is about."""
        there = {
            "prediction log": context.log,
            "model monitor": context.monitor,
            "metrics store": context.prometheus,
            "auditor": context.auditor,
        }
        lacking = [part for part in parts if there[part] is None]
        if lacking:
            keys = ", ".join(PARTS[part] for part in lacking)
            msg = f"scenario {self.options.scenario} needs the {' and the '.join(lacking)}, which this stack lacks"
            raise OperationError(msg, fix=f"add {keys} to the stack's order form and run `mlops up`")

    def go(self, context: Context, stages: Sequence[Callable[[Context], None]]) -> None:
        """Go through stages of an act. Raises StageError."""
        for stage in stages:
            stage(context)

    def good(self) -> Context:
        """Close the loop with a model that conforms: what a scenario begins or ends with."""
        context = self.act()
        self.go(context, CLOSE)
        return context

    def trained(self, context: Context) -> None:
        """Train, serve and watch, up to what the auditor says."""
        self.go(context, (*TRAIN, *WATCH))

    def judged(self, context: Context, since: dt.datetime | None = None) -> dict[str, Any]:
        """Return the assessment of the version under way, whoever asked for it; one that began after `since`.

        Where a gate enforces it asks by itself, and a suspended version is not the candidate any more a moment later:
        asking once more would be about another one.
        """
        assert context.auditor  # noqa: S101 (the scenario needs it)
        if not gate.enforces(context):
            return audit.assess(context)
        auditor, name, version = context.auditor, context.sample.model, context.registered.version

        def complete() -> dict[str, Any] | None:
            found = (each for each in auditor.assessments(name) if each["complete"])
            return next((each for each in found if each["subject"]["version"] == version and late(each)), None)

        def late(assessment: dict[str, Any]) -> bool:
            return since is None or dt.datetime.fromisoformat(assessment["started"]) > since

        assessment = waiting.until(complete, audit.SECONDS)
        if assessment is None:
            reason = f"has no complete assessment of version {version} after {audit.SECONDS:.0f} s"
            raise StageError(audit.STAGE, auditor.subject_of(name), reason, fix="mlops status")
        history = auditor.history(name)
        # An assessment that changed nothing has no step of its own, and the subject may be about another version now.
        steps = [step for step in history if step["assessment"] == assessment["id"]] or [
            step for step in history if step["version"] == version
        ]
        return {
            **assessment,
            "status": steps[0]["status"] if steps else (auditor.subject(name) or {}).get("status", "none"),
            "leaves": auditor.leaves(name, assessment["id"]),
            "findings": auditor.findings(name, assessment["id"]),
        }

    def finding(self, context: Context, told: dict[str, Any], requirement: str) -> dict[str, Any]:
        """Return the finding of a requirement; assert that it fails and is traced to its risk."""
        assert context.auditor  # noqa: S101 (the scenario needs it)
        source = context.auditor.subject_of(context.sample.model)
        found: dict[str, Any] = next(
            (each for each in told["findings"] if each["requirement"] == requirement), {"verdict": "(no finding)"}
        )
        self.ledger.that(
            audit.STAGE,
            f"verdict of {requirement}",
            found["verdict"] in FAILING,
            found=found["verdict"],
            wanted="not satisfied",
            source=source,
            reason=f"finds {requirement} {found['verdict']}: the model is bad and passes",
        )
        return found

    def status(self, context: Context, told: dict[str, Any], wanted: str) -> None:
        """Assert the status after an assessment."""
        assert context.auditor  # noqa: S101 (the scenario needs it)
        source = context.auditor.subject_of(context.sample.model)
        version = context.registered.version
        self.ledger.same(
            audit.STAGE, f"status of version {version}", found=told["status"], wanted=wanted, source=source
        )

    def rolled_back(self, context: Context, before: str) -> None:
        """Assert that the version before answers again, by a decision of the gate that names the cause."""
        if not gate.enforces(context):
            self.ledger.add("rollback", 0.0, "no conformity gate that enforces in this stack: nothing is rolled back")
            return
        assert context.gate  # noqa: S101 (it enforces)
        gates, name, version = context.gate, context.sample.model, context.registered.version
        with self.ledger.stage("rollback") as stage:

            def decided() -> dict[str, Any] | None:
                made = (each for each in gates.decisions(name) if each["kind"] == "rollback" and each["end"] == "done")
                return next((each for each in made if each["source"] == version), None)

            decision = waiting.until(decided, ROLLED_BACK_SECONDS)
            if decision is None:
                reason = f"has not rolled version {version} back after {ROLLED_BACK_SECONDS:.0f} s"
                raise StageError("rollback", gates.source, reason)
            self.ledger.same("rollback", "goes back to", found=decision["target"], wanted=before, source=gates.source)
            answered = waiting.until(lambda: self._answers(context, before), ROLLED_BACK_SECONDS)
            trouble = context.serving.trouble() if answered is None else ""
            self.ledger.that(
                "rollback",
                "version that answers",
                answered is not None,
                found=answered,
                wanted=before,
                source=context.serving.subject,
                reason=f"does not answer version {before} after {ROLLED_BACK_SECONDS:.0f} s: {trouble}",
            )
            champion = context.registry.champion(name)
            self.ledger.same(
                "rollback",
                "version with alias champion",
                found=champion and champion.version,
                wanted=before,
                source=context.mlflow,
            )
            cause = decision["cause"]
            self.record["rollback"] = decision
            stage.summary = f"version {version} → {before}: {cause['status']}, {', '.join(cause['requirements'])}"

    def _answers(self, context: Context, version: str) -> str | None:
        """Return the version that answers once it is the wanted one; while pods change, nobody may answer."""
        example = context.registry.example(context.registered)
        try:
            found = context.serving.predict_v1(example).headers.get("x-model-version", "")
        except StageError:
            return None
        return found if found == version else None

    def settled(self, context: Context) -> None:
        """Assert that registry, service and answers are one again."""
        serving.check(context)

    def outcome(self) -> Outcome:
        """Return all that there is to show."""
        last = self.last
        outcome = last.outcome if last else Outcome(self.options.example, self.cluster.server)
        outcome.scenario, outcome.record = self.options.scenario, self.record
        outcome.model_exit_code = self.model_exit_code
        outcome.stages, outcome.facts = self.ledger.stages, self.ledger.facts
        outcome.queries = last.prometheus.queries if last and last.prometheus else {}
        return outcome
