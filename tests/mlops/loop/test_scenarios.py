"""Scenarios on a platform in memory, with the real auditor's service: what is done on purpose is caught, or told."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from cabc.interfaces.base import SubjectFacts
from cabc.record.types import Finding, Verdict
from cabc.service import logs

from components._core.rules import Alert
from components.cabc_auditor import rules as cabc_auditor
from components.model_monitor import rules as model_monitor
from components.prediction_log import rules as prediction_log
from mlops.errors import OperationError
from mlops.loop import scenarios, waiting
from mlops.loop.cluster import Answer, Cluster
from mlops.loop.context import Context
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.outcome import Options, Outcome
from mlops.loop.scenarios import broken, play
from mlops.loop.stages import audit
from tests.support import service
from tests.support.auditing import NAME
from tests.support.cabc import record as open_record
from tests.support.loop import TOKEN
from tests.support.played import AlertsPart, GatePart, Judge, Played
from tests.support.running import Running

pytestmark = pytest.mark.filterwarnings("ignore")
"""kfp compiles the sample in each of them; its warnings are not ours to mend."""


LOOKS = 20
"""Whatever comes on a platform in memory has come after a few looks; what does not come is not waited for."""


def soon(found: Callable[[], Any]) -> Any:
    """Return what `found` returns as soon as it is something."""
    return next((told for _ in range(LOOKS) if (told := found()) is not None), None)


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judge]:
    """A platform in full: `judge.platform`."""
    logs.configure(io.StringIO())
    monkeypatch.setattr(waiting, "PAUSE", 0.0)
    monkeypatch.setattr(waiting, "until", lambda found, _seconds, **_: soon(found))
    monkeypatch.setenv("CABC_TEST_HOOK", "secret")
    platform = Played()
    coded = base64.b64encode(TOKEN.encode()).decode()
    platform.objects["/api/v1/namespaces/cabc-auditor/secrets/cabc-auditor-tokens"] = {
        "data": {"auditing-party": coded}
    }
    with open_record(tmp_path) as record:
        judge = Judge(tmp_path, record, platform)

        def facts(**given: Any) -> SubjectFacts:
            return SubjectFacts(
                **{**given, "run_id": f"run-{given['version']}", "digest": f"sha256:{given['version']}"}
            )

        def finding(**given: Any) -> Finding:
            waived = judge.waiver() if given["verdict"] is not Verdict.SATISFIED else None
            return Finding(**given, waiver=waived)

        monkeypatch.setattr(service, "SubjectFacts", facts)
        monkeypatch.setattr(service, "Finding", finding)
        # That a record holds is what test_audit.py is about; a seeded past has no evidence that verdicts follow from.
        monkeypatch.setattr(audit, "verify", lambda _context: "nothing")
        platform.watching.append(judge)
        yield judge


@pytest.fixture
def gate(judge: Judge) -> GatePart:
    found = GatePart(judge)
    judge.platform.gated = True
    judge.platform.watching.append(found)
    return found


def played(judge: Judge, name: str) -> Outcome:
    return play(cast("Cluster", judge.platform), Options(scenario=name))


def failure(judge: Judge, name: str) -> StageError:
    found = played(judge, name).failure
    assert found is not None
    return found


def test_an_unfair_model_is_suspended_traced_to_its_risk_and_rolled_back(judge: Judge, gate: GatePart) -> None:
    outcome = played(judge, "unfair")
    assert outcome.failure is None, outcome.failure
    plain = outcome.plain()
    assert (plain["ok"], plain["scenario"], plain["modelExitCode"]) == (True, "unfair", 1)
    record = plain["record"]
    assert record["status"] == "suspended"
    assert record["finding"]["requirement"] == "data-governance/fair-at-training"
    assert record["risk"] == "unfair-decisions"
    assert (record["rollback"]["source"], record["rollback"]["target"]) == ("4", "3")
    assert judge.platform.served == judge.platform.champion == 3
    assert gate.made


def test_without_a_gate_nothing_is_rolled_back_and_a_good_model_follows(judge: Judge) -> None:
    outcome = played(judge, "unfair")
    assert outcome.failure is None, outcome.failure
    told = {stage.name: stage.summary for stage in outcome.stages}
    assert told["rollback"] == "no conformity gate that enforces in this stack: nothing is rolled back"
    assert outcome.model_exit_code == 1
    assert judge.platform.served == 5
    assert judge.platform.unfair == {4}


def test_an_unfair_model_that_the_auditor_lets_pass_is_the_scenarios_failure(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge.platform, "unfair", _Forgetful())
    found = failure(judge, "unfair")
    assert found.stage == "audit"
    assert "the model is bad and passes" in found.reason


class _Forgetful(set[int]):
    def add(self, _version: int) -> None:
        """Forget it."""


def test_a_gate_that_sleeps_is_named(judge: Judge, gate: GatePart, monkeypatch: pytest.MonkeyPatch) -> None:
    look = gate.look

    def once(platform: Played) -> None:
        if platform.served not in platform.unfair:
            look(platform)
        elif int(judge.version) != platform.served:
            judge.assess()

    monkeypatch.setattr(gate, "look", once)
    found = failure(judge, "unfair")
    assert (found.stage, found.subject) == (
        "rollback",
        "conformity gate http://conformity-gate.conformity-gate.svc:8080",
    )
    assert "has not rolled version 4 back" in found.reason


def test_a_waiver_lets_a_model_through_until_it_ends(judge: Judge, gate: GatePart) -> None:
    outcome = played(judge, "rollback")
    assert outcome.failure is None, outcome.failure
    assert gate.made[0]["kind"] == "promote"
    statuses = [fact.found for fact in outcome.facts if fact.name.startswith("status of version 4")]
    assert statuses == ["conditional", "suspended"]
    assert outcome.facts[-1].found
    assert outcome.record["waiver"].startswith("w")
    assert judge.platform.served == judge.platform.champion == 5


def test_drift_is_followed_to_the_receiver_of_its_alert(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, alerts = judge.platform, AlertsPart()
    platform.watching.append(alerts)
    shifted(platform)
    alerts.labels = {"alertname": "FeatureDrift", "model": NAME, "version": "3"}
    told = judge.answer

    def told_by_alertmanager(*given: Any) -> Answer:
        # Alertmanager tells within seconds; here, as soon as somebody looks.
        if platform.drifted and not judge.platform.heard:
            judge.platform.heard = True
            monkeypatch.setattr(service, "Trigger", _by_webhook)
            judge.assess()
        return told(*given)

    monkeypatch.setattr(judge, "answer", told_by_alertmanager)
    outcome = played(judge, "drift")
    assert outcome.failure is None, outcome.failure
    assert outcome.record["drift"]["features"] == ["appinc"]
    assert outcome.record["alert"]["receivers"] == ["cabc-auditor"]
    assert outcome.record["alert"]["labels"]["owner"] == "models"
    assert (outcome.record["status"], outcome.model_exit_code) == ("conditional", 1)


def test_an_alert_that_is_heard_while_shifted_rows_are_asked_counts(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, alerts = judge.platform, AlertsPart()
    platform.watching.append(alerts)
    alerts.labels = {"alertname": "FeatureDrift", "model": NAME, "version": "3"}

    def change(report: dict[str, Any]) -> None:
        if platform.drifted and not platform.heard:
            platform.heard = True
            monkeypatch.setattr(service, "Trigger", _by_webhook)
            judge.assess()
        drift = {"detected": platform.drifted}
        report.update(drift_share=float(platform.drifted), features=[{"name": "appinc", "drift": drift}])

    platform.monitor.change = change
    outcome = played(judge, "drift")
    assert outcome.failure is None, outcome.failure
    assert outcome.record["status"] == "conditional"


def test_an_alert_with_another_owner_is_not_the_right_one(judge: Judge) -> None:
    shifted(judge.platform)
    judge.platform.alert = {"severity": "warning", "owner": "platform"}
    found = failure(judge, "drift")
    assert (found.stage, found.reason) == ("alert", "has label owner platform, expected models")


def test_an_alert_that_does_not_fire(judge: Judge) -> None:
    shifted(judge.platform)
    judge.platform.alert = {}
    found = failure(judge, "drift")
    assert found.stage == "alert"
    assert "does not fire FeatureDrift" in found.reason
    assert "its query finds nothing" in found.reason


def shifted(platform: Played) -> None:
    """Have the monitor see drift as soon as shifted rows were asked about."""

    def change(report: dict[str, Any]) -> None:
        drift = {"detected": platform.drifted}
        report.update(drift_share=float(platform.drifted), features=[{"name": "appinc", "drift": drift}])

    platform.monitor.change = change


def _by_webhook(**given: Any) -> Any:
    from cabc.record.types import Trigger

    return Trigger(**{**given, "kind": "webhook", "source": "alerts"})


def test_each_stopped_part_is_noticed_and_the_model_answers(judge: Judge) -> None:
    outcome = played(judge, "broken")
    assert [fact.found for fact in outcome.facts if fact.name == "rows answered while nobody watches"] == [20]
    assert {each["alert"] for each in outcome.record["noticed"]} == set(broken.ALERTS.values())
    kept = next(stage for stage in outcome.stages if stage.name == "kept")
    assert kept.summary == "20 rows of 1 requests that were answered meanwhile are in the log"
    assert outcome.failure is None, outcome.failure
    noticed = {each["part"]: each["stage"] for each in outcome.record["noticed"]}
    assert noticed == {"prediction log": "log", "model monitor": "watch", "auditor": "audit"}
    assert all("is scaled to 0 replicas" in each["reason"] for each in outcome.record["noticed"])
    forged = [fact for fact in outcome.facts if fact.stage == "forged" and fact.name.startswith("HTTP status")]
    assert [fact.found for fact in forged] == [401, 401, 401]
    assert outcome.model_exit_code == 0
    assert all(part.replicas == 1 for part in judge.platform.watching)


@pytest.mark.parametrize("part", broken.ALERTS)
def test_a_stopped_part_that_no_alert_tells_of_is_named(judge: Judge, part: str) -> None:
    judge.platform.unseen = broken.ALERTS[part]
    found = failure(judge, "broken")
    assert found.subject.startswith(part)
    assert found.reason == f"is stopped, and {broken.ALERTS[part]} is not even pending after 150 s"
    assert all(each.replicas == 1 for each in judge.platform.watching)


def test_an_answer_that_was_lost_while_the_log_was_away_is_missed(judge: Judge) -> None:
    judge.platform.keeps = False
    found = failure(judge, "broken")
    assert (found.stage, found.reason.partition(" answered")[0]) == ("log", "lacks 1 of 1")


def test_an_alert_that_is_there_before_says_nothing(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [{"metric": {"alertname": "AuditNotRunning", "alertstate": "firing"}, "value": [0, "1"]}]
    monkeypatch.setattr(judge.platform, "_missing", lambda text: before if "AuditNotRunning" in text else [])
    assert failure(judge, "broken").reason == "has alert AuditNotRunning before it is stopped"


def test_a_part_that_was_left_stopped_gets_a_replica(judge: Judge) -> None:
    context = Context(cast("Cluster", judge.platform), Options(), Ledger(), lambda _name: None, math.inf)
    judge.platform.collector.replicas = 0
    assert context.log
    (found,) = broken._workloads(context, context.log)
    assert found == ("/apis/apps/v1/namespaces/prediction-log/deployments/prediction-log", 1)


def test_the_alerts_are_those_of_the_parts() -> None:
    groups = (*prediction_log.groups(), *model_monitor.groups(), *cabc_auditor.groups(24))
    known = {rule.name for group in groups for rule in group.rules if isinstance(rule, Alert)}
    assert set(broken.ALERTS.values()) <= known


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_a_stack_without_the_parts_is_told_what_to_order(name: str) -> None:
    with pytest.raises(OperationError, match=f"scenario {name} needs the .* which this stack lacks"):
        play(cast("Cluster", Running()), Options(scenario=name))
