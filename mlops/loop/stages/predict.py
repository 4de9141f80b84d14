"""Stages `predict-v1` and `predict-v2`: the served model answers as the registered one does."""

from __future__ import annotations

from mlops.loop import predictions
from mlops.loop.context import Context
from mlops.loop.predictions import Expected

__all__ = ["check"]


def check(context: Context) -> None:
    """Assert the answers over both protocols, those given in the cluster and those given from outside."""
    told, ledger, subject = context.run.tasks["predict"].parameters, context.ledger, context.serving.subject
    rows = [Expected(entry["row"], entry["answer"]) for entry in told["sample"]]
    for protocol in ("v1", "v2"):
        inside = told[protocol]
        with ledger.stage(f"predict-{protocol}") as stage:
            ledger.same(
                stage.name,
                "held-out rows answered as the registered model does",
                found=inside["equal"],
                wanted=inside["rows"],
                source=f"{subject} over {protocol}, from inside the cluster",
            )
            wanted = context.registered.run_id
            ledger.same(stage.name, "run id of those answers", found=inside["run_id"], wanted=wanted, source=subject)
            sent = predictions.answers(ledger, context.serving, context.registered, rows, protocol)
            context.sent[protocol] = sent
            within = f"{int(inside['equal'])} of {int(inside['rows'])} rows equal in the cluster"
            stage.summary = f"{within}, {sent} of {sent} from outside"
