"""Stage `gate`: the conformity gate let the version through, so that it is the registry's champion."""

from __future__ import annotations

from mlops.loop import waiting
from mlops.loop.context import Context
from mlops.loop.ledger import StageError

__all__ = ["check", "enforces"]

STAGE = "gate"

SECONDS = 120.0
"""Within this time the gate has seen a status and acted on it; it looks every few seconds."""


def enforces(context: Context) -> bool:
    """Tell whether there is a gate that acts on its decisions."""
    return context.gate is not None and context.gate.mode() == "enforce"


def check(context: Context) -> None:
    """Assert that the version is champion, by the gate's decision where the gate decides."""
    if context.gate is None:
        context.ledger.add(STAGE, 0.0, "no conformity gate in this stack")
        return
    context.begun(STAGE)
    with context.ledger.stage(STAGE) as stage:
        gate, name, version = context.gate, context.sample.model, context.registered.version
        mode = gate.mode()
        ours = None

        def champion() -> bool | None:
            found = context.registry.champion(name)
            return (found is not None and found.version == version) or None

        if not waiting.until(champion, SECONDS if mode == "enforce" else 0.0):
            last = next(iter(gate.decisions(name)), None)
            told = f"its last decision is {last['kind']} of {last['at']}" if last else "it has decided nothing"
            reason = f"has not made version {version} champion after {SECONDS:.0f} s: {told}"
            raise StageError(STAGE, gate.source, reason)
        if mode == "enforce":
            made = [each for each in gate.decisions(name) if each["target"] == version and each["end"] == "done"]
            ours = next((each for each in made if each["kind"] == "promote"), None)
            context.ledger.that(
                STAGE,
                "decision that made it champion",
                ours is not None,
                found=ours and ours["id"],
                wanted="kind promote, carried out",
                source=gate.source,
                reason=f"has no decision to promote version {version}, which is champion",
            )
        by = f" by decision {ours['id']}" if ours else ""
        stage.summary = f"mode {mode}: version {version} is champion{by}"
