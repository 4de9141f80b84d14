"""What was answered has to be in the prediction log as it was answered; what is missing or other is named."""

from __future__ import annotations

from typing import Any

import pytest

from mlops.loop.ledger import StageError
from mlops.loop.stages import log
from tests.mlops.loop.conftest import Begin
from tests.support.watching import Watched


def failure(context: Any) -> StageError:
    with pytest.raises(StageError) as caught:
        log.check(context)
    assert caught.value.stage == "log"
    return caught.value


def test_every_row_is_found_under_the_id_it_was_asked_with(begin: Begin, platform: Watched) -> None:
    context = begin(platform)
    log.check(context)
    facts = {fact.name: fact.found for fact in context.ledger.facts}
    assert facts["rows in the log"] == 60
    assert facts["requests in the log"] == 3
    assert facts["run that the log names"] == ["run-2"]
    assert len({decision.request_id for decision in context.decisions}) == 3
    assert context.ledger.stages[-1].summary == "60 rows of 3 requests, each in the log as it was answered"


def test_what_people_are_protected_for_is_not_sent(begin: Begin, platform: Watched) -> None:
    log.check(begin(platform))
    sent = [row for rows, _ in platform.answered.values() for row in rows]
    assert sent
    assert not {"black", "hispan", "male", "approve"} & set().union(*sent)


@pytest.mark.usefixtures("impatient")
def test_a_lost_request_is_counted_and_named(begin: Begin, platform: Watched) -> None:
    platform.collector.lost = {1}
    found = failure(begin(platform))
    lost = list(platform.answered)[1]
    assert "lacks 1 of 3 answered requests" in found.reason
    assert found.reason.endswith(f"such as {lost}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "1"}, "has version that the log names ['1'], expected ['2']"),
        ({"run_id": "run-9"}, "has run that the log names ['run-9'], expected ['run-2']"),
        ({"digest": ""}, "has digest that the log names [''], expected ['sha256:2']"),
    ],
)
def test_another_model_in_the_log(begin: Begin, platform: Watched, change: dict[str, Any], reason: str) -> None:
    platform.collector.change = lambda known: known.update(change)
    assert failure(begin(platform)).reason == reason


def test_a_value_that_changed_on_its_way(begin: Begin, platform: Watched) -> None:
    platform.collector.change = lambda known: known["rows"][4]["inputs"].update(appinc=-1.0)
    assert "has other inputs for row 4 of request loop-" in failure(begin(platform)).reason


def test_an_answer_that_changed_on_its_way(begin: Begin, platform: Watched) -> None:
    platform.collector.change = lambda known: known["rows"][0].update(output=[0.5, 0.5])
    assert "has other output for row 0 of request loop-" in failure(begin(platform)).reason


def test_rows_that_nobody_sent(begin: Begin, platform: Watched) -> None:
    platform.collector.change = lambda known: known["rows"].append({"row": 20, "inputs": {}, "output": None})
    assert failure(begin(platform)).reason == "has rows in the log 63, expected 60"


def test_a_stopped_collector_is_named_with_its_replicas(begin: Begin, platform: Watched) -> None:
    platform.collector.replicas = 0
    found = failure(begin(platform))
    assert found.reason == "does not answer: Deployment prediction-log/prediction-log is scaled to 0 replicas"
    assert found.subject == "prediction log http://prediction-log.prediction-log.svc:8080"


def test_a_run_without_held_out_rows(begin: Begin, platform: Watched) -> None:
    platform.artefacts = {}
    found = failure(begin(platform))
    assert (found.subject, found.reason) == ("MLflow run run-2", "has no artefact evaluation/held-out.json")
