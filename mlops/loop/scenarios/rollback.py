"""Scenario `rollback`: a known failure is accepted for a time, the time ends, the version goes, a fixed one comes."""

from __future__ import annotations

import datetime as dt

from mlops.loop import waiting
from mlops.loop.ledger import StageError
from mlops.loop.scenarios.play import FAIR, Play
from mlops.loop.scenarios.unfair import caught
from mlops.loop.stages import audit

__all__ = ["run"]

ACCEPTED = dt.timedelta(minutes=6)
"""How long the waiver holds: long enough to train, serve, watch and assess the model."""


def run(play: Play) -> None:
    """Waive, serve an unfair model, see it conditional; let the waiver expire, see it suspended; serve a fair one."""
    good = play.good()
    play.needs(good, "auditor")
    assert good.auditor  # noqa: S101 (needed above)
    auditor, name, before = good.auditor, good.sample.model, good.registered.version
    expires = dt.datetime.now(dt.UTC) + ACCEPTED
    reason = "Scenario rollback: the loop shows that an accepted failure ends with its waiver."
    waiver = auditor.waive(name, FAIR, reason=reason, expires=expires.isoformat())
    play.record["waiver"] = waiver["id"]
    bad = play.act({"unfair": True})
    play.trained(bad)
    with play.ledger.stage(audit.STAGE) as stage:
        told = audit.assess(bad)
        finding = play.finding(bad, told, FAIR)
        accepted = (finding.get("waiver") or {}).get("id")
        source = auditor.subject_of(name)
        play.ledger.same(audit.STAGE, "waiver of the finding", found=accepted, wanted=waiver["id"], source=source)
        play.status(bad, told, "conditional")
        stage.summary = f"conditional: {FAIR} is waived until {expires:%H:%M:%S} UTC"
    left = (expires - dt.datetime.now(dt.UTC)).total_seconds()
    with play.ledger.stage("waiver") as stage:

        def expired() -> bool | None:
            # The auditor's clock decides, so it is the auditor that is asked.
            states = {each["id"]: each["state"] for each in auditor.waivers(name)}
            return states.get(waiver["id"]) == "expired" or None

        patience = max(left, 0.0) + 30.0
        if not waiting.until(expired, patience, pause=5.0):
            raise StageError("waiver", source, f"has waiver {waiver['id']} in force after it expired at {expires}")
        stage.summary = f"{waiver['id']} has expired"
    auditor.ask(name)
    caught(play, bad, before, since=expires)
    play.good()
