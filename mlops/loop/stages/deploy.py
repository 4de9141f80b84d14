"""Stages `deploy` and `rollout`, asserted: what is served, and that changing it cost nobody an answer."""

from __future__ import annotations

from typing import Any

from mlops.loop.context import Context
from mlops.loop.serving import agrees

__all__ = ["check"]


def check(context: Context) -> None:
    """Assert that exactly the registered version is served, and that no request failed meanwhile."""
    told, root = context.run.tasks["deploy"].parameters, context.places.artefact_root
    context.ledger.same(
        "deploy", "deployed URI", found=told["uri"], wanted=context.registered.uri(root), source="step deploy"
    )
    agrees(context.ledger, context.serving, context.registered, root, ready=True)
    if context.before is None:
        context.ledger.add("rollout", 0.0, "nothing was served before")
    elif not told["traffic"]:
        context.ledger.add("rollout", 0.0, "nothing answered before: no promise to measure")
    else:
        _rolled_over(context, told["traffic"], context.before.version)


def _rolled_over(context: Context, traffic: dict[str, Any], before: str) -> None:
    source = f"traffic to {context.serving.subject}"
    requests, failures, sequence = int(traffic["requests"]), traffic["failures"], traffic["sequence"]
    context.ledger.that(
        "rollout",
        "failed requests",
        not failures,
        found=len(failures),
        wanted=0,
        source=source,
        reason=f"failed {len(failures)} times in {requests} requests during the rollout: {failures[:1]}",
    )
    for name, found, wanted in (
        ("answers with a version", int(sum(traffic["by_version"].values())), requests),
        (
            "first and last version to answer",
            [sequence[0], sequence[-1]] if sequence else [],
            [before, context.registered.version],
        ),
    ):
        context.ledger.same("rollout", name, found=found, wanted=wanted, source=source)
    counts = ", ".join(f"{int(number)} by version {version}" for version, number in traffic["by_version"].items())
    context.ledger.add("rollout", traffic["seconds"], f"{requests} requests, 0 failed: {counts}")
