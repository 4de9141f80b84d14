"""What was decided is in tags: who reads them believes no others, and finishes what a process left when it died."""

from __future__ import annotations

import json
from typing import Any

import pytest
from platform_runtime.conformity_gate.decision import Cause, Decision, Ledger

from tests.support.conformity_gate import (
    MODEL,
    START,
    KilledError,
    metrics,
    unfair,
)


def test_a_rollback_that_did_not_happen_is_none_to_come_back_from() -> None:
    cause = Cause("suspended", "a2", "")
    begun = Decision("d1", MODEL, "enforce", "rollback", "2", "1", cause, START, "models/loan-approval")
    tags = {"conformity.decision.d1": begun.body()}
    assert set(Ledger.of([tags]).rolled_back()) == {"2"}
    assert not Ledger.of([{**tags, "conformity.end.d1": "overtaken 2026"}]).rolled_back()


def test_a_tag_that_is_no_decision_is_left_alone() -> None:
    found = Ledger.of([{"conformity.decision.x": "{}", "conformity.decision.y": "[1]", "other": "1"}])
    assert not found.decisions
    assert found.unreadable == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "bogus"},
        {"mode": "bogus"},
        {"at": "2026-03-01T00:00:00"},
        {"at": 1},
        {"source": 2},
        {"service": None},
        {"cause": {"status": "suspended", "assessment": None, "text": "", "requirements": "all"}},
        {"cause": {"status": "suspended", "assessment": None, "text": "", "risks": [1]}},
    ],
    ids=str,
)
def test_a_decision_that_nobody_here_wrote_stops_nothing(fault: dict[str, Any]) -> None:
    trial = unfair()
    cause = Cause("suspended", "a2", "")
    other = Decision("d1", MODEL, "enforce", "rollback", "2", "1", cause, START, "models/loan-approval")
    assert Ledger.of([{"conformity.decision.d1": other.body()}]).unreadable == 0
    trial.versions["1"]["conformity.decision.d1"] = json.dumps({**json.loads(other.body()), **fault})
    assert trial.poll()
    trial.settle()
    assert trial.state == ("1", "1", "1")
    assert "d1" not in {each.id for each in trial.gate.decisions()}
    assert 'conformity_gate_unreadable_decisions{model="loan-approval"} 1.0' in metrics(trial)


@pytest.mark.parametrize("at", range(1, 60))
def test_wherever_a_rollback_is_interrupted_the_next_process_finishes_it(at: int) -> None:
    trial = unfair()
    trial.fuse.left = at
    try:
        trial.settle()
    except KilledError:
        trial.restart()
        trial.settle()
    else:
        assert at > 20, "the rollback has fewer writes than it must have"
    assert trial.state == ("1", "1", "1")
    assert trial.traffic == [("2", "1")]
    ends = [(each.kind, each.end) for each in trial.gate.decisions()]
    assert ends.count(("rollback", "done")) == 1
    assert all(end == "done" for _, end in ends)
    assert set(trial.events) == {each.id for each in trial.gate.decisions()}


def test_a_decision_that_the_world_overtook_is_closed() -> None:
    trial = unfair()
    trial.fuse.left = 6  # status and cause of version 2 are told and the decision is written; nothing is carried out
    with pytest.raises(KilledError):
        trial.settle()
    trial.fuse.left = None
    trial.restart()
    trial.deploy(trial.register())
    trial.settle()
    assert trial.served == "3"
    assert [each.end for each in trial.gate.decisions() if each.kind == "rollback"] == ["overtaken"]
    assert trial.traffic == []
