"""Stages `validate` to `register`, asserted: what the registry says of the version that the run says it registered."""

from __future__ import annotations

from typing import Any

from mlops.loop.context import Context
from mlops.loop.ledger import StageError
from mlops.loop.registry import Registered
from mlops.loop.stages import gate

__all__ = ["check"]


def check(context: Context) -> None:
    """Assert rows, version, metrics and signature."""
    said = {name: task.parameters for name, task in context.run.tasks.items()}
    _rows(context, said)
    told, outcome = said["register"], context.outcome
    # Where the conformity gate enforces, it alone makes champions, later.
    alias = "candidate" if gate.enforces(context) else "champion"
    registered = context.registry.champion(context.sample.model, alias)
    if registered is None:
        raise StageError("register", f"model {context.sample.model}", f"has no version with alias {alias}")
    outcome.run_id, outcome.version, outcome.digest = told["run_id"], told["version"], told["digest"]
    run_found = context.registry.run(registered.run_id)
    for name, found, wanted in (
        ("version", registered.version, told["version"]),
        ("next version", int(registered.version), max(context.known, default=0) + 1),
        ("run id", registered.run_id, context.run.mlflow_run_id),
        ("digest", registered.tags.get("digest"), told["digest"]),
        ("data sha256", registered.tags.get("data.sha256"), said["read"]["sha256"]),
        ("code version", registered.tags.get("code.version"), context.arguments["code_version"]),
        ("run status", run_found["info"]["status"], "FINISHED"),
        ("run's Job", run_found["data"]["tags"].get("pipeline.job"), context.run.name),
    ):
        context.ledger.same("register", name, found=found, wanted=wanted, source=context.mlflow)
    _metrics(context, run_found["data"]["metrics"])
    _signed(context, registered)
    context.registered = registered


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
        least = context.arguments[name]
        context.ledger.that(
            "evaluate",
            f"{metric} at the gate",
            measured[metric] >= least,
            found=measured[metric],
            wanted=f"≥ {least}",
            source=context.mlflow,
        )


def _signed(context: Context, registered: Registered) -> None:
    """Assert that the artefact itself has a signature and names the run."""
    description = context.registry.description(registered)
    source = f"MLmodel of {registered.name} version {registered.version}"
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
        "register", "run id in the artefact", found=description.get("run_id"), wanted=registered.run_id, source=source
    )
