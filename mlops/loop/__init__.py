"""The loop: experiment → registry → serving → monitoring, run on a real platform and asserted from outside.

`run` trains, registers, serves and measures the sample model; `verify` only compares what is served with the registry.
"""

from __future__ import annotations

from mlops.loop.ledger import Fact, Ledger, StageError
from mlops.loop.loop import Options, Outcome, run, verify

__all__ = ["Fact", "Ledger", "Options", "Outcome", "StageError", "run", "verify"]
