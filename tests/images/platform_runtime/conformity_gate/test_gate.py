"""What the gate does for a model, one story each; auditor, registry and cluster are in memory."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from cabc.document.model import StatusPolicy
from cabc.engine.status import elapse, revoke
from platform_runtime.conformity_gate.plan import Mode, Policy
from platform_runtime.registration import aliases

from tests.support.conformity_gate import (
    ENFORCE,
    MODEL,
    Trial,
    made,
    metrics,
    polled,
    running,
    unfair,
)


def test_a_version_is_champion_only_after_it_was_assessed() -> None:
    trial = Trial(ENFORCE)
    trial.deploy(trial.register())
    trial.settle()
    assert trial.state == ("1", None, "1")
    assert trial.asked == [MODEL]
    trial.assess()
    trial.settle()
    assert trial.state == ("1", "1", "1")
    assert made(trial) == [("promote", None, "1")]
    assert trial.versions["1"]["conformity.status"] == "conformant"


def test_a_new_version_is_served_while_the_old_one_is_champion() -> None:
    trial = running()
    trial.deploy(trial.register())
    trial.settle()
    assert trial.state == ("2", "1", "2")
    trial.assess()
    trial.settle()
    assert trial.state == ("2", "2", "2")


def test_a_suspended_version_is_rolled_back_with_its_cause() -> None:
    trial = unfair()
    trial.settle()
    assert trial.state == ("1", "1", "1")
    assert trial.traffic == [("2", "1")]
    tags = trial.versions["2"]
    assert tags["conformity.status"] == "suspended"
    cause = json.loads(tags["conformity.cause"])
    assert (cause["requirements"], cause["risks"], cause["assessment"]) == (["fairness/bias"], ["R1"], "a2")
    assert tags["conformity.rolled_back_to"] == "1"
    assert trial.versions["1"]["conformity.rolled_back_from"] == "2"
    assert trial.versions["1"]["conformity.rolled_back_at"] == tags["conformity.rolled_back_at"]
    (decision, *_) = [each for each in trial.gate.decisions(MODEL) if each.kind == "rollback"]
    assert decision.end == "done"
    assert trial.events[decision.id].message() == (
        "loan-approval version 2 is rolled back to version 1: version 2 is suspended; assessment a2; "
        "requirements fairness/bias; risks R1"
    )


def test_a_status_that_another_version_earned_decides_nothing() -> None:
    trial = unfair()
    trial.settle()
    # Version 1 is looked at in part: the auditor still says suspended, and means the requirements nobody has renewed.
    trial.assess(complete=False)
    assert trial.records[-1].version == "1"
    assert trial.records[-1].status.value == "suspended"
    trial.settle()
    assert trial.state == ("1", "1", "1")


def test_a_pass_of_a_part_makes_no_champion() -> None:
    trial = running()
    trial.deploy(trial.register())
    trial.assess(complete=False)
    assert (trial.records[-1].version, trial.records[-1].status.value) == ("2", "conformant")
    trial.settle()
    assert trial.state == ("2", "1", "2")
    trial.assess()
    trial.settle()
    assert trial.state == ("2", "2", "2")


def test_an_assessment_of_another_artefact_under_the_same_number_says_nothing() -> None:
    trial = running()
    version = trial.register("grave")
    trial.deploy(version)
    trial.assess()
    trial.versions[version]["digest"] = f"sha256:{'f' * 64}"
    trial.settle()
    assert trial.state == ("2", "1", "2")


def test_a_version_that_was_rolled_back_comes_back_only_after_a_new_assessment() -> None:
    trial = unfair()
    trial.settle()
    trial.assess()
    trial.settle()
    trial.named["candidate"] = "2"
    trial.wait(3600)
    trial.settle()
    assert trial.served == "1"
    trial.waived = True
    trial.assess(complete=False)
    trial.settle()
    assert trial.served == "1"
    trial.assess()
    trial.settle()
    assert trial.state == ("2", "2", "2")
    assert trial.versions["2"]["conformity.status"] == "conditional"
    trial.waived = False
    trial.assess(complete=False)
    trial.settle()
    assert trial.state == ("1", "1", "1")
    assert [kind for kind, *_ in made(trial)].count("rollback") == 2


def test_without_conditions_a_waiver_is_not_enough() -> None:
    trial = unfair(Policy(mode=Mode.ENFORCE, allow_conditional=False))
    trial.settle()
    trial.waived = True
    trial.named["candidate"] = "2"
    trial.wait(3600)
    trial.assess()
    trial.settle()
    assert trial.served == "1"


def test_a_version_that_was_rolled_back_stays_away_for_the_hold() -> None:
    trial = unfair(Policy(mode=Mode.ENFORCE, hold=dt.timedelta(minutes=30)))
    trial.settle()
    trial.named["candidate"], trial.quality["2"] = "2", "good"
    trial.assess()
    trial.settle()
    assert trial.served == "1"
    trial.wait(1800)
    trial.settle()
    assert trial.state == ("2", "2", "2")


def test_who_deploys_a_suspended_version_again_sees_it_rolled_back_again() -> None:
    trial = unfair()
    trial.settle()
    trial.deploy("2")
    trial.settle()
    assert trial.served == "1"
    rollbacks = [each for each in trial.gate.decisions() if each.kind == "rollback"]
    assert len(rollbacks) == 2
    assert {each.cause.assessment for each in rollbacks} == {"a2"}


def test_a_version_that_somebody_deployed_since_is_not_replaced() -> None:
    trial = unfair()
    trial.settle()
    trial.deploy(trial.register())
    trial.assess()
    trial.settle()
    assert trial.state == ("3", "3", "3")
    trial.named["candidate"], trial.quality["2"] = "2", "good"
    trial.wait(3600)
    trial.assess()
    trial.settle()
    assert trial.state == ("3", "3", "2")


def test_the_last_version_that_passed_is_gone_back_to() -> None:
    trial = running()
    trial.deploy(trial.register())
    trial.assess()
    trial.settle()
    trial.deploy(trial.register("grave"))
    trial.assess()
    trial.settle()
    assert trial.state == ("2", "2", "2")


def test_a_conformant_version_is_better_than_a_later_one_with_conditions() -> None:
    trial = running()
    trial.deploy(trial.register("light"))
    trial.assess()
    trial.settle()
    assert trial.versions["2"]["conformity.status"] == "conditional"
    trial.deploy(trial.register("grave"))
    trial.assess()
    trial.settle()
    assert trial.state == ("1", "1", "1")


def test_the_version_that_passed_last_need_not_be_the_newest() -> None:
    trial = running()
    trial.deploy(trial.register())
    trial.assess()
    trial.settle()
    trial.deploy("1")
    trial.assess(version="1")
    trial.settle()
    trial.deploy(trial.register("grave"))
    trial.assess()
    trial.settle()
    assert trial.state == ("1", "1", "1")


def test_a_revocation_by_hand_counts_at_once() -> None:
    trial = running()
    trial.deploy(trial.register())
    trial.assess()
    trial.settle()
    trial.wait()
    trial.records.append(revoke(trial.records[-1], reason="fraud", actor="alice", now=trial.now))
    trial.settle()
    assert trial.state == ("1", "1", "1")
    assert json.loads(trial.versions["2"]["conformity.cause"])["text"] == "revoked by alice: fraud"


def test_neglect_counts_as_well() -> None:
    trial = running()
    trial.status_policy = StatusPolicy(stale_after="P1D")
    trial.deploy(trial.register())
    trial.assess()
    trial.settle()
    trial.wait(90_000)
    stale = elapse(trial.status_policy, trial.records[-1], trial.assessments["a2"].ended, trial.now)
    assert stale is not None
    trial.records.append(stale)
    trial.settle()
    assert trial.state == ("1", "1", "1")


def test_a_subject_that_breaks_the_gate_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = unfair()
    known = trial.subject

    def subject(name: str) -> Any:
        if name == "odd":
            raise KeyError("what nobody thought of")
        return known(name)

    monkeypatch.setattr(trial, "subjects", lambda: ["odd", MODEL])
    monkeypatch.setattr(trial, "subject", subject)
    good = polled(trial)
    assert not trial.poll()
    trial.poll()
    assert trial.served == "1"
    assert polled(trial) == good, "not every model was looked at"
    assert 'conformity_gate_failures_total{source="gate"} 2.0' in metrics(trial)


def test_without_any_version_that_passed_the_service_stays_and_says_so() -> None:
    trial = Trial(ENFORCE)
    trial.deploy(trial.register("grave"))
    trial.assess()
    trial.settle()
    assert trial.state == ("1", None, "1")
    assert not trial.stopped
    assert made(trial) == [("keep", "1", None)]
    assert 'conformity_gate_served{mode="enforce",model="loan-approval",verdict="refused",version="1"} 1.0' in metrics(
        trial
    )


def test_without_any_version_that_passed_the_service_can_be_stopped() -> None:
    trial = Trial(Policy(mode=Mode.ENFORCE, without="stop"))
    trial.deploy(trial.register("grave"))
    trial.assess()
    trial.settle()
    assert trial.stopped
    trial.deploy(trial.register())
    trial.settle()
    assert not trial.stopped
    assert trial.state == ("2", None, "2")
    assert made(trial) == [("stop", "1", None), ("resume", "1", "2")]


def test_somebody_else_s_stop_is_left_alone() -> None:
    trial = running()
    assert trial.service_object
    trial.service_object["metadata"]["annotations"]["serving.kserve.io/stop"] = "true"
    trial.settle()
    assert trial.stopped


def test_a_champion_that_is_not_served_loses_its_alias() -> None:
    trial = running()
    trial.deploy(trial.register())
    trial.settle()
    trial.quality["1"] = "grave"
    trial.assess(version="1")
    trial.settle()
    assert trial.state == ("2", None, "2")
    assert made(trial)[-1] == ("withdraw", "1", None)


def test_a_model_that_nobody_serves_gets_its_champion_too() -> None:
    trial = Trial(ENFORCE)
    trial.register()
    trial.assess()
    trial.settle()
    assert trial.state == (None, "1", "1")


def test_report_changes_nothing_anywhere() -> None:
    trial = unfair(Policy(mode=Mode.REPORT))
    writes = trial.fuse.writes
    trial.settle()
    assert (trial.fuse.writes, trial.served, trial.named["champion"]) == (writes, "2", "2")
    said = [(each.kind, each.end) for each in trial.gate.decisions()]
    assert ("rollback", "said") in said


def test_warn_says_it_once_where_people_look() -> None:
    trial = unfair(Policy(mode=Mode.WARN))
    trial.settle()
    trial.restart()
    trial.settle()
    assert (trial.served, trial.named["champion"], trial.traffic) == ("2", "2", [])
    assert trial.versions["2"]["conformity.status"] == "suspended"
    rollbacks = [each for each in trial.gate.decisions() if each.kind == "rollback"]
    assert [each.end for each in rollbacks] == ["said"]
    assert "conformity.rolled_back_to" not in trial.versions["2"]
    assert sum(each.kind == "rollback" for each in trial.events.values()) == 1


@pytest.mark.parametrize("source", ["auditor", "registry"])
def test_nothing_is_changed_while_a_source_is_away(source: str) -> None:
    trial = unfair()
    good = polled(trial)
    trial.away = {source}
    before = trial.state
    assert not trial.poll()
    assert trial.state == before
    assert polled(trial) == good
    assert f'conformity_gate_failures_total{{source="{source}"}} 1.0' in metrics(trial)
    trial.away = set()
    trial.settle()
    assert trial.served == "1"
    assert polled(trial) > good


def test_versions_get_the_aliases_of_the_mode() -> None:
    assert aliases("champion", {"CONFORMITY_GATE": "enforce"}) == ["candidate"]
    assert aliases("champion", {"CONFORMITY_GATE": "warn"}) == ["candidate", "champion"]
    assert aliases("champion", {}) == ["candidate", "champion"]
    assert aliases("shadow", {"CONFORMITY_GATE": "enforce"}) == ["candidate", "shadow"]
    assert aliases(None, {}) == []


def test_what_is_known_can_be_read() -> None:
    trial = unfair()
    trial.settle()
    told: dict[str, Any] = trial.gate.models[MODEL]
    assert (told["served"], told["champion"], told["versions"]["1"]["verdict"]) == ("1", "1", "allowed")
    assert 'conformity_gate_status{model="loan-approval",status="conformant",version="1"} 1.0' in metrics(trial)
    assert 'conformity_gate_decisions_total{decision="rollback"} 1.0' in metrics(trial)
    assert 'conformity_gate_last_decision_timestamp_seconds{decision="rollback",model="loan-approval"}' in metrics(
        trial
    )
