"""Stage `serving`: what answers is the registry's champion."""

from __future__ import annotations

from mlops.loop import predictions
from mlops.loop.context import Context
from mlops.loop.ledger import StageError
from mlops.loop.serving import agrees

__all__ = ["check"]

STAGE = "serving"


def check(context: Context) -> None:
    """Assert that the registry's champion, what is served and what answers are one."""
    with context.ledger.stage(STAGE) as stage:
        champion = context.registry.champion(context.sample.model)
        if champion is None:
            reason = "has no version with alias champion"
            raise StageError("register", f"model {context.sample.model}", reason, fix="mlops loop")
        outcome = context.outcome
        outcome.version, outcome.run_id, outcome.digest = (
            champion.version,
            champion.run_id,
            champion.tags.get("digest", ""),
        )
        known = context.registry.versions(context.sample.model)
        context.ledger.that(
            "register",
            "version",
            int(champion.version) in known,
            found=champion.version,
            wanted=f"one of {known}",
            source=context.mlflow,
        )
        agrees(context.ledger, context.serving, champion, context.places.artefact_root, ready=True)
        example = context.registry.example(champion)
        answer = context.serving.predict_v1(example)
        predictions.identified(context.ledger, STAGE, context.serving, champion, answer)
        context.ledger.same(
            STAGE,
            "answers to the registered example",
            found=len(answer.json()["predictions"]),
            wanted=len(example),
            source=context.serving.subject,
        )
        stage.summary = f"version {champion.version} is served and is the champion"
