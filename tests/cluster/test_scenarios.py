"""The scenarios on a real cluster: what is done on purpose is caught, and the platform is whole afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.platform import Platform

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]


@pytest.fixture
def scenario(platform: Platform) -> Any:
    """Return a function that plays a scenario; afterwards what is served has to be what is registered."""

    def played(name: str) -> dict[str, Any]:
        evidence = platform.loop("--scenario", name, check=False)
        assert evidence["exitCode"] == 0, evidence["failure"]
        assert platform.loop("--verify-only")["exitCode"] == 0
        return evidence

    return played


def test_the_loop_logs_watches_and_audits(closed: tuple[dict[str, Any], float]) -> None:
    evidence, _ = closed
    stages = {stage["name"]: stage["summary"] for stage in evidence["stages"]}
    assert {"log", "watch", "audit"} <= stages.keys()
    assert not [
        name for name, summary in stages.items() if summary.startswith("no ") and name in {"log", "watch", "audit"}
    ]
    facts = {fact["name"]: fact["found"] for fact in evidence["facts"]}
    assert facts["rows that are as they were given"] == 498
    assert facts["labelled rows before any label"] == 0
    assert facts["conformity status"] == "conformant"
    assert facts["faults in the record"] == []


def test_an_unfair_model_is_suspended_traced_and_rolled_back(scenario: Any) -> None:
    evidence = scenario("unfair")
    assert evidence["modelExitCode"] != 0
    record = evidence["record"]
    assert record["status"] == "suspended"
    assert record["risk"] == "unfair-decisions"
    assert record["finding"]["requirement"] == "data-governance/fair-at-training"


def test_drifted_input_reaches_who_has_to_know(scenario: Any) -> None:
    record = scenario("drift")["record"]
    assert record["drift"]["features"]
    assert record["alert"]["labels"]["owner"] == "models"
    assert record["alert"]["labels"]["model"] == "loan-approval"
    assert record["alert"]["receivers"]


def test_a_waiver_ends_and_takes_the_model_with_it(scenario: Any) -> None:
    evidence = scenario("rollback")
    statuses = [fact["found"] for fact in evidence["facts"] if fact["name"].startswith("status of version")]
    assert statuses == ["conditional", "suspended"]


def test_stopped_parts_and_forged_messages_are_noticed(scenario: Any) -> None:
    told = scenario("broken")["record"]["noticed"]
    assert {each["alert"] for each in told} == {"PredictionLogUnwatched", "ModelMonitorStale", "AuditNotRunning"}
    noticed = {each["part"]: each["stage"] for each in told}
    assert noticed == {"prediction log": "log", "model monitor": "watch", "auditor": "audit"}


def test_the_card_of_what_is_served_is_kept_under_its_run(platform: Platform) -> None:
    done = platform.mlops("card", "loan-approval", "--stack", platform.stack)
    assert "## Fairness on held-out rows" in done.stdout
    assert "card/model-card.html" in done.stderr
