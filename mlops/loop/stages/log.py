"""Stage `log`: every decision that was given is in the prediction log, row by row, and nothing else under its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlops.loop import decisions, waiting
from mlops.loop.context import Context
from mlops.loop.decisions import Decision
from mlops.loop.ledger import StageError

__all__ = ["check", "compare"]

STAGE = "log"

SECONDS = 90.0
"""Within this time an answer that was given is in the database: the model server's memory and the collector's spool
hand on what they have within a second or two, and a database that was restarted takes some more."""


def check(context: Context) -> None:
    """Ask about all held-out rows, each request under an id of its own, and find exactly that in the log."""
    if context.log is None:
        context.ledger.add(STAGE, 0.0, "no prediction log in this stack")
        return
    context.begun(STAGE)
    with context.ledger.stage(STAGE) as stage:
        context.log.check()
        cases = decisions.held_out(context.registry, context.registered, context.sample)
        context.decisions = decisions.ask(context.serving, context.registered, cases, stage=STAGE)
        logged = compare(context, context.decisions)
        stage.summary = f"{len(context.decisions)} rows of {logged} requests, each in the log as it was answered"


def compare(context: Context, given: Sequence[Decision]) -> int:
    """Assert that all that was given is in the log as it was given; return the number of requests."""
    assert context.log  # noqa: S101 (who asks has looked)
    ledger, log, registered = context.ledger, context.log, context.registered
    wanted: dict[str, list[Decision]] = {}
    for decision in given:
        wanted.setdefault(decision.request_id, []).append(decision)
    found: dict[str, dict[str, Any]] = {}

    def complete() -> bool | None:
        for request_id in wanted.keys() - found.keys():
            known = log.prediction(request_id)
            if known is not None and known["answered_at"] and len(known["rows"]) >= len(wanted[request_id]):
                found[request_id] = known
        return len(found) == len(wanted) or None

    if not waiting.until(complete, SECONDS):
        lacking = sorted(wanted.keys() - found.keys())
        reason = f"lacks {len(lacking)} of {len(wanted)} answered requests after {SECONDS:.0f} s, such as {lacking[0]}"
        raise StageError(STAGE, log.source, reason, fix="mlops status; docs/runbooks")
    ledger.same(STAGE, "requests in the log", found=len(found), wanted=len(wanted), source=log.source)
    rows = sum(len(known["rows"]) for known in found.values())
    ledger.same(STAGE, "rows in the log", found=rows, wanted=len(given), source=log.source)
    for name, of_request, expected in (
        ("model that the log names", "model", registered.name),
        ("version that the log names", "version", registered.version),
        ("run that the log names", "run_id", registered.run_id),
        ("digest that the log names", "digest", registered.tags.get("digest", "")),
        ("status that the log names", "status", 200),
    ):
        told = sorted({str(known[of_request]) for known in found.values()})
        ledger.same(STAGE, name, found=told, wanted=[str(expected)], source=log.source)
    for decision in given:
        known = found[decision.request_id]["rows"][decision.row]
        for what, kept, said in (
            ("inputs", known["inputs"], decision.case.features),
            ("output", known["output"], decision.answer),
        ):
            if kept != said:
                reason = f"has other {what} for row {decision.row} of request {decision.request_id} than were given"
                raise StageError(STAGE, log.source, f"{reason}: {kept}, given {said}")
    ledger.same(STAGE, "rows that are as they were given", found=rows, wanted=len(given), source=log.source)
    return len(found)
