"""Stage `monitoring`: exactly the predictions that were sent are in Prometheus, by way of a monitor that is there."""

from __future__ import annotations

import time

from mlops.loop.context import Context

__all__ = ["check", "settle", "verify"]

STAGE = "monitoring"


def settle(context: Context) -> None:
    """Take the counts before anything is asked from outside."""
    if context.monitoring:
        context.begun(STAGE)
        started = time.monotonic()
        context.counts = context.monitoring.settled(context.registered.version)
        context.settling = time.monotonic() - started


def check(context: Context) -> None:
    """Assert that what was sent since was counted, and freshly."""
    if context.monitoring is None or context.counts is None:
        context.ledger.add(STAGE, 0.0, "no metrics store in this stack")
        return
    started, since = time.monotonic(), context.monitoring.now()
    before, number = context.counts, sum(context.sent.values())
    after = context.monitoring.counted(context.ledger, context.registered.version, before, context.sent)
    context.monitoring.watched(context.ledger, since=since)
    latency = 1000 * (after.seconds - before.seconds) / number
    summary = f"{number} predictions sent, {number} counted, {latency:.1f} ms each in the server"
    context.ledger.add(STAGE, context.settling + time.monotonic() - started, summary)


def verify(context: Context) -> None:
    """Assert that what is served is watched, and that all it answered was counted."""
    if context.monitoring is None:
        return
    with context.ledger.stage(STAGE) as stage:
        started = context.monitoring.now()
        context.monitoring.check()
        counts = context.monitoring.settled(context.outcome.version)
        context.monitoring.watched(context.ledger, since=started)
        number = sum(counts.requests.values())
        stage.summary = f"{number} predictions of version {context.outcome.version} counted"
