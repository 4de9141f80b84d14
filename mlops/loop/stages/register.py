"""Stages `validate` to `register`, asserted: what the registry says of the version that the run says it registered."""

from __future__ import annotations

from typing import Any

from mlops.loop.context import Context
from mlops.loop.ledger import StageError
from mlops.loop.registry import Registered

__all__ = ["check"]


def check(context: Context) -> None:
    """Assert rows, version, metrics and signature."""
    said = {name: task.parameters for name, task in context.run.tasks.items()}
    _rows(context, said)
    champion = context.registry.champion(context.sample.model)
    if champion is None:
        raise StageError("register", f"model {context.sample.model}", "has no version with alias champion")
    told, outcome = said["register"], context.outcome
    outcome.run_id, outcome.version, outcome.digest = told["run_id"], told["version"], told["digest"]
    run_found = context.registry.run(champion.run_id)
    for name, found, wanted in (
        ("version", champion.version, told["version"]),
        ("next version", int(champion.version), max(context.known, default=0) + 1),
        ("run id", champion.run_id, context.run.mlflow_run_id),
        ("digest", champion.tags.get("digest"), told["digest"]),
        ("data sha256", champion.tags.get("data.sha256"), said["read"]["sha256"]),
        ("code version", champion.tags.get("code.version"), context.arguments["code_version"]),
        ("run status", run_found["info"]["status"], "FINISHED"),
        ("run's Job", run_found["data"]["tags"].get("pipeline.job"), context.run.name),
    ):
        context.ledger.same("register", name, found=found, wanted=wanted, source=context.mlflow)
    _metrics(context, run_found["data"]["metrics"])
    _signed(context, champion)
    context.registered = champion


def _rows(context: Context, said: dict[str, dict[str, Any]]) -> None:
    rows, good = said["read"]["rows"], said["validate"]["Output"]
    context.ledger.same("validate", "rows that are valid", found=good, wanted=rows, source="step validate")
    context.ledger.same(
        "train",
        "rows trained on and held out",
        found=said["train"]["Output"] + said["predict"]["v1"]["rows"],
        wanted=good,
        source="step train",
    )


def _metrics(context: Context, recorded: dict[str, float]) -> None:
    measured = context.run.tasks["evaluate"].artifacts["metrics"]
    for metric, name in (("accuracy", "min_accuracy"), ("auc", "min_auc")):
        context.ledger.same(
            "evaluate",
            f"recorded {metric}",
            found=recorded.get(metric),
            wanted=measured[metric],
            source=context.mlflow,
        )
        gate = context.arguments[name]
        context.ledger.that(
            "evaluate",
            f"{metric} at the gate",
            measured[metric] >= gate,
            found=measured[metric],
            wanted=f"≥ {gate}",
            source=context.mlflow,
        )


def _signed(context: Context, champion: Registered) -> None:
    """Assert that the artefact itself has a signature and names the run."""
    description = context.registry.description(champion)
    source = f"MLmodel of {champion.name} version {champion.version}"
    inputs = str((description.get("signature") or {}).get("inputs") or "")
    context.ledger.that(
        "register",
        "signature",
        bool(inputs),
        found=inputs[:120],
        wanted="inputs",
        source=source,
        reason="has no signature",
    )
    context.ledger.same(
        "register", "run id in the artefact", found=description.get("run_id"), wanted=champion.run_id, source=source
    )
