"""Scenario `unfair`: a model that passes its gate and treats people unfairly is suspended and taken back.

The pipeline is the same, with `unfair=True`: the model learns from decisions that count black applicants as refused.
Accuracy and AUC pass; the disparate impact ratio does not.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlops.loop.context import Context
from mlops.loop.ledger import StageError
from mlops.loop.scenarios.play import FAIR, RISK, Play
from mlops.loop.stages import audit, pipeline, platform

__all__ = ["caught", "run"]

CUT_OFF = ("deploy", "predict-v1", "predict-v2")
"""Where a pipeline is that loses its version to the gate while it still looks at it."""

LEAST = 0.8
"""The four-fifths rule, as the specification has it."""


def run(play: Play) -> None:
    """Serve a good model, then an unfair one; see the second suspended, traced to its risk, and rolled back."""
    good = play.good()
    play.needs(good, "auditor")
    bad = play.act({"unfair": True})
    platform.look(bad)
    try:
        pipeline.run(bad)
    except StageError as error:
        if error.stage not in CUT_OFF or "register" not in bad.run.tasks:
            raise
        # The gate was quicker than the pipeline: that is what it is for.
        play.ledger.add(error.stage, 0.0, f"cut off: {error.reason}")
    _registered(bad)
    caught(play, bad, good.registered.version)
    if "rollback" in play.record:
        play.settled(bad)
    else:
        play.good()


def caught(play: Play, bad: Context, before: str, since: dt.datetime | None = None) -> None:
    """Assert the finding, the risk, the status, and that traffic went back to `before`."""
    with play.ledger.stage(audit.STAGE) as stage:
        told = play.judged(bad, since)
        finding = play.finding(bad, told, FAIR)
        play.ledger.that(
            audit.STAGE,
            "risks of the finding",
            RISK in finding["risks"],
            found=finding["risks"],
            wanted=RISK,
            source=f"finding {FAIR}",
        )
        play.status(bad, told, "suspended")
        measured = _ratio(bad)
        play.ledger.that(
            audit.STAGE,
            "disparate impact ratio on held-out rows",
            measured < LEAST,
            found=measured,
            wanted=f"below {LEAST}: the scenario's model is unfair",
            source=bad.mlflow,
        )
        play.record |= {"assessment": told["id"], "status": told["status"], "finding": finding, "risk": RISK}
        play.model_exit_code = 1
        stage.summary = f"suspended: {FAIR} ({finding['reason']}), risk {RISK}"
    play.rolled_back(bad, before)


def _registered(bad: Context) -> None:
    """Take what the run registered, by its number: a gate may have given the alias back to the version before."""
    version = bad.run.tasks["register"].parameters["version"]
    found = bad.registry.version(bad.sample.model, version)
    if found is None:
        raise StageError("register", f"model {bad.sample.model} version {version}", "is not in the registry")
    bad.registered = found
    bad.outcome.run_id, bad.outcome.version = found.run_id, found.version
    bad.outcome.digest = found.tags.get("digest", "")


def _ratio(bad: Context) -> float:
    metrics: dict[str, Any] = bad.registry.run(bad.registered.run_id)["data"]["metrics"]
    return min(float(value) for name, value in metrics.items() if name.startswith("disparate_impact_ratio_"))
