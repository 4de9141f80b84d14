"""When the auditor is asked for an assessment, and how often."""

from __future__ import annotations

import datetime as dt

import pytest
from platform_runtime.conformity_gate.auditor import AuditorError

from tests.support.conformity_gate import (
    ENFORCE,
    MODEL,
    Trial,
    unfair,
)


def test_after_a_rollback_the_auditor_is_asked_to_look_at_what_is_served() -> None:
    trial = unfair()
    trial.asked.clear()
    trial.settle()
    assert trial.asked == [MODEL]
    trial.assess()
    trial.settle()
    assert trial.state == ("1", "1", "1")
    assert trial.traffic == [("2", "1")]


def test_the_auditor_is_asked_when_the_new_version_answers_and_no_other() -> None:
    trial = Trial(ENFORCE, pods_ready=False)
    trial.deploy(trial.register())
    trial.settle()
    assert trial.asked == []
    trial.pods_ready = True
    trial.settle()
    assert trial.asked == [MODEL]


def test_the_auditor_is_asked_when_somebody_wants_a_version_back() -> None:
    trial = unfair()
    trial.settle()
    trial.assess()
    trial.settle()
    trial.asked.clear()
    trial.named["candidate"] = "2"
    trial.settle()
    assert trial.asked == [MODEL]
    trial.assess()
    trial.wait(3600)
    trial.settle()
    assert trial.asked == [MODEL]


def test_the_auditor_is_not_asked_for_ever() -> None:
    trial = Trial(ENFORCE)
    trial.deploy(trial.register())
    for _ in range(20):
        trial.wait(400)
        trial.poll()
    assert len(trial.asked) == 3


def test_an_auditor_that_did_not_hear_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(ENFORCE)
    trial.deploy(trial.register())
    hears, failures = trial.ask, 5

    def ask(subject: str, now: dt.datetime) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise AuditorError("away")
        hears(subject, now)

    monkeypatch.setattr(trial, "ask", ask)
    for _ in range(20):
        trial.wait(400)
        trial.poll()
    assert failures == 0
    assert len(trial.asked) == 3
