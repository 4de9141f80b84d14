"""The loop: experiment → registry → serving → monitoring, run on a real platform and asserted from outside."""

from __future__ import annotations

from mlops.loop.cli import run
from mlops.loop.ledger import StageError
from mlops.loop.outcome import Options, Outcome

__all__ = ["Options", "Outcome", "StageError", "run"]
