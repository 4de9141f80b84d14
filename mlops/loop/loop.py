"""The loop: run the pipeline, then assert from outside what it says it did; a list of stages, one module each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mlops.loop.cluster import Cluster
from mlops.loop.context import Context
from mlops.loop.ledger import Ledger, Stage, StageError
from mlops.loop.outcome import Options, Outcome
from mlops.loop.stages import (
    audit,
    deploy,
    gate,
    log,
    monitoring,
    pipeline,
    platform,
    predict,
    register,
    serving,
    watch,
)

__all__ = ["CLOSE", "TRAIN", "VERIFY", "WATCH", "close", "go_through", "verify"]

TRAIN = (platform.look, pipeline.run, register.check)
"""From data to a registered version that is served."""

WATCH = (
    deploy.check,
    monitoring.settle,
    predict.check,
    monitoring.check,
    log.check,
    watch.check,
)
"""From what is served to what is known of it in operation."""

CLOSE = (*TRAIN, *WATCH, audit.check, gate.check, serving.check)
"""What closing the loop consists of, in order. A stage reads and adds to the context, and raises StageError."""

VERIFY = (platform.answers, serving.check, monitoring.verify)
"""What is left of it when nothing is to be trained."""


def close(
    cluster: Cluster,
    options: Options,
    *,
    tell: Callable[[Stage], None] = lambda _stage: None,
    begun: Callable[[str], None] = lambda _name: None,
) -> Outcome:
    """Close the loop once. `tell` gets each finished stage, `begun` the name of each one that starts."""
    context = _context(cluster, options, tell, begun)
    outcome = go_through(context, CLOSE)
    if outcome.failure is None and not options.keep:
        context.serving.delete()
    return outcome


def verify(
    cluster: Cluster,
    options: Options,
    *,
    tell: Callable[[Stage], None] = lambda _stage: None,
    begun: Callable[[str], None] = lambda _name: None,
) -> Outcome:
    """Compare what is served with the registry, and see that it is watched; train nothing."""
    return go_through(_context(cluster, options, tell, begun), VERIFY)


def _context(
    cluster: Cluster, options: Options, tell: Callable[[Stage], None], begun: Callable[[str], None]
) -> Context:
    return Context(cluster, options, Ledger(tell), begun, time.monotonic() + options.timeout)


def go_through(context: Context, stages: Sequence[Callable[[Context], None]]) -> Outcome:
    """Go through the stages; what breaks is in the outcome, with all that was found out before."""
    outcome, started = context.outcome, time.monotonic()
    try:
        for stage in stages:
            stage(context)
    except StageError as error:
        outcome.failure = error
    outcome.seconds = time.monotonic() - started
    outcome.stages, outcome.facts = context.ledger.stages, context.ledger.facts
    outcome.queries = context.prometheus.queries if context.prometheus else {}
    return outcome
