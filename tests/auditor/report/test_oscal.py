"""OSCAL that compliance-trestle accepts, whose references lead somewhere and whose ids stay."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cabc.record.types import Status, Verdict
from cabc.report.oscal import assessment_results, plan_of_action
from cabc.report.oscal_terms import frequency, token
from cabc.report.types import Reader
from cabc.report.view import view
from trestle.oscal.assessment_results import Model as Results
from trestle.oscal.poam import Model as Plan

from tests.auditor.report.conftest import View
from tests.support import cabc as sample
from tests.support import cabc_report as past

READERS: list[Reader] = ["executive", "engineer", "auditor"]


def uuids(part: Any) -> list[str]:
    """Return every uuid that something in the document has."""
    if isinstance(part, dict):
        own = [part["uuid"]] if "uuid" in part else []
        return [*own, *(name for value in part.values() for name in uuids(value))]
    return [name for value in part for name in uuids(value)] if isinstance(part, list) else []


def references(part: Any) -> list[str]:
    """Return every uuid that something in the document refers to."""
    if isinstance(part, dict):
        own = [value for key, value in part.items() if key.endswith("-uuid")]
        own += [name for key, value in part.items() if key.endswith("-uuids") for name in value]
        own += [part["href"][1:]] if str(part.get("href", "")).startswith("#") else []
        return [*own, *(name for value in part.values() for name in references(value))]
    return [name for value in part for name in references(value)] if isinstance(part, list) else []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("number", [1, 7, 12])
def test_trestle_accepts_assessment_results(seen: View, reader: Reader, number: int) -> None:
    body = assessment_results(seen(reader, number))

    Results.model_validate_json(json.dumps(body))
    assert set(references(body)) <= set(uuids(body))
    assert len(uuids(body)) == len(set(uuids(body)))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("number", [7, 12])
def test_trestle_accepts_the_plan_of_action(seen: View, reader: Reader, number: int) -> None:
    body = plan_of_action(seen(reader, number))

    assert body is not None
    Plan.model_validate_json(json.dumps(body))
    assert set(references(body)) <= set(uuids(body))
    assert len(uuids(body)) == len(set(uuids(body)))


def test_trestle_itself_validates_the_files_in_a_workspace(seen: View, tmp_path: Path) -> None:
    from trestle.core.commands.init import InitCmd
    from trestle.core.commands.validate import ValidateCmd

    run = {"trestle_root": tmp_path, "verbose": 0}
    init = InitCmd()._run(namespace(**run, full=False, local=True, govdocs=False))
    assert init == 0
    plan = plan_of_action(seen())
    assert plan is not None
    for kind, model, body in (
        ("assessment-results", "assessment-results", assessment_results(seen())),
        ("plan-of-action-and-milestones", "plan-of-action-and-milestones", plan),
    ):
        folder = tmp_path / kind / "credit"
        folder.mkdir(parents=True)
        (folder / f"{model}.json").write_text(json.dumps(body), encoding="utf-8")
    answer = ValidateCmd()._run(namespace(**run, type=None, file=None, name=None, all=True, quiet=False))
    assert answer == 0


def namespace(**values: Any) -> Any:
    from argparse import Namespace

    return Namespace(**values)


def test_a_finding_has_the_state_and_reason_of_its_verdict(seen: View) -> None:
    result = assessment_results(seen())["assessment-results"]["results"][0]
    states = {found["target"]["title"]: found["target"]["status"] for found in result["findings"]}

    assert states[past.BIAS] == {"state": "not-satisfied", "reason": "fail"}
    assert states["record-keeping/logs-complete"]["state"] == "not-satisfied"
    assert states["record-keeping/logs-complete"]["reason"] == "other"
    assert states["accuracy-robustness-security/accuracy"] == {"state": "satisfied", "reason": "pass"}


def test_a_waiver_is_an_approved_deviation_of_the_risk(seen: View) -> None:
    result = assessment_results(seen("auditor", 7))["assessment-results"]["results"][0]
    risk = next(risk for risk in result["risks"] if risk["title"].startswith("R4"))

    assert risk["status"] == "deviation-approved"
    (entry,) = risk["risk-log"]["entries"]
    assert entry["status-change"] == "deviation-approved"
    assert {"name": "type", "ns": "urn:cabc:oscal", "value": "dr-approved"} in entry["props"]


def test_ids_stay_from_one_assessment_to_the_next(seen: View) -> None:
    def ids(number: int, kind: str) -> dict[str, str]:
        result = assessment_results(seen("auditor", number))["assessment-results"]["results"][0]
        return {each["title"]: each["uuid"] for each in result[kind]}

    assert ids(11, "risks").items() <= ids(12, "risks").items()
    assert ids(11, "findings") == ids(12, "findings")
    assert set(ids(11, "observations").values()).isdisjoint(ids(12, "observations").values())


def test_the_export_is_the_same_each_time(seen: View) -> None:
    assert json.dumps(assessment_results(seen())) == json.dumps(assessment_results(seen()))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("PT15M", {"period": 15, "unit": "minutes"}),
        ("P2W", {"period": 14, "unit": "days"}),
        ("P1DT12H", {"period": 36, "unit": "hours"}),
        ("PT90S", {"period": 90, "unit": "seconds"}),
        ("on-event", None),
        ("*/5 * * * *", None),
        (None, None),
    ],
)
def test_frequency_knows_no_weeks(text: str | None, wanted: dict[str, Any] | None) -> None:
    assert frequency(text) == wanted


def test_confidential_details_stay_out_of_an_engineers_export(seen: View) -> None:
    said = json.dumps([assessment_results(seen("engineer")), plan_of_action(seen("engineer"))])

    assert "Contoso" not in said
    assert past.CVE in said


def test_nothing_to_do_gives_no_plan(seen: View) -> None:
    assert plan_of_action(seen("auditor", 1)) is None


def test_a_failing_requirement_without_a_risk_gets_one(tmp_path: Path) -> None:
    bad = {past.CVE: (Verdict.NOT_SATISFIED, "bad")}
    with sample.record(tmp_path) as record:
        (name,) = past.record_history(record, [past.Run({}, bad, Status.CONDITIONAL, "cve")])
        plan = plan_of_action(view(record, name, reader="auditor"))

    assert plan is not None
    body = plan["plan-of-action-and-milestones"]
    Plan.model_validate_json(json.dumps(plan))
    assert [risk["title"] for risk in body["risks"]] == [f"{past.SUPPLY} is not satisfied"]
    assert body["poam-items"][0]["related-risks"] == [{"risk-uuid": body["risks"][0]["uuid"]}]


def test_a_path_becomes_atoken() -> None:
    assert token("1-dim/req") == "_1-dim.req"
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", token("a/ü b"))
