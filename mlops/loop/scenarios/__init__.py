"""What goes wrong with models and platforms, done on purpose: each scenario asserts that it is caught."""

from __future__ import annotations

import time
from collections.abc import Callable

from mlops.loop.cluster import Cluster
from mlops.loop.ledger import Ledger, Stage, StageError
from mlops.loop.outcome import Options, Outcome
from mlops.loop.scenarios import broken, drift, rollback, unfair
from mlops.loop.scenarios.play import Play

__all__ = ["SCENARIOS", "Play", "play"]

SCENARIOS: dict[str, Callable[[Play], None]] = {
    "unfair": unfair.run,
    "drift": drift.run,
    "broken": broken.run,
    "rollback": rollback.run,
}
"""By the names that `mlops loop --scenario` knows."""


def play(
    cluster: Cluster,
    options: Options,
    *,
    tell: Callable[[Stage], None] = lambda _stage: None,
    begun: Callable[[str], None] = lambda _name: None,
) -> Outcome:
    """Play the scenario of `options`. What was not caught is the outcome's failure."""
    act, started = Play(cluster, options, Ledger(tell), begun), time.monotonic()
    failure = None
    try:
        SCENARIOS[options.scenario](act)
    except StageError as error:
        failure = error
    outcome = act.outcome()
    outcome.failure, outcome.seconds = failure, time.monotonic() - started
    return outcome
