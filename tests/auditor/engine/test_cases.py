"""Unit tests of specifications, tested."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from cabc.cli import test as command
from cabc.document.loaded import LoadedDocument
from cabc.engine.cases import SpecificationTests, run_case
from cabc.errors import CabcError
from typer import Typer
from typer.testing import CliRunner

from tests.support.cabc_engine import document, leaf, requirement

MANUAL = {
    "id": "look",
    "interface": {"kind": "manual", "question": "Does a person look?"},
    "dataType": "boolean",
    "comparison": "EqualTo",
    "target": True,
}


@pytest.fixture
def spec() -> LoadedDocument:
    declared = {"interface": {"kind": "rest", "connection": "api", "path": "/declared"}}
    return document(
        requirement("equal", leaf("ratio")),
        requirement("fast", leaf("latency", 0.3, "LessThan", unit="second", valueUnit="ms", maxAge="PT10M")),
        requirement("oversight", MANUAL, severity="high"),
        requirement("declared", leaf("auc", declared, "WithinTolerance", tolerance=0.01), severity="medium"),
        requirement("no-worse", leaf("f1", {"baseline": "pinned", "relative": -0.05}), severity="medium"),
        statusPolicy={"suspendOn": "critical", "revokeAfter": "P30D"},
    )


GIVEN: dict[str, Any] = {
    "ratio": 0.9,
    "latency": 200,
    "look": True,
    "auc": {"value": 0.8, "target": 0.805},
    "f1": 0.77,
}


def failures(spec: LoadedDocument, **case: Any) -> list[str]:
    body = {"given": GIVEN, "tests": [{"name": "x", "baseline": {"f1": 0.8}, **case}]}
    suite = SpecificationTests.model_validate_json(json.dumps(body))
    return run_case(spec, suite, suite.tests[0])


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ({}, {"status": "conformant", "verdict": "satisfied", "dimensions": {"d": "satisfied"}}),
        ({"ratio": 0.7}, {"status": "suspended", "leaves": {"ratio": "not-satisfied"}, "cause": "d/equal"}),
        ({"latency": 301}, {"requirements": {"fast": "not-satisfied"}}),
        ({"latency": {"value": 200, "age": "PT11M"}}, {"leaves": {"latency": "error"}, "status": "suspended"}),
        ({"ratio": {"error": "no answer"}}, {"leaves": {"ratio": "error"}, "verdict": "error"}),
        ({"ratio": True}, {"leaves": {"ratio": "error"}}),
        ({"look": {"value": True, "error": "expired"}}, {"leaves": {"look": "needs-review"}, "status": "conditional"}),
        ({"auc": {"value": 0.8, "target": 0.9}}, {"leaves": {"auc": "not-satisfied"}, "status": "conditional"}),
        ({"auc": 0.8}, {"leaves": {"auc": "error"}}),
        ({"f1": 0.75}, {"leaves": {"f1": "not-satisfied"}}),
    ],
)
def test_given_values_lead_to_verdicts(spec: LoadedDocument, given: dict[str, Any], expect: dict[str, Any]) -> None:
    assert failures(spec, given=given, expect=expect) == []


def test_failure_says_what_was_expected_what_came_out_and_why(spec: LoadedDocument) -> None:
    found = failures(spec, given={"ratio": 0.7}, expect={"leaves": {"ratio": "satisfied"}, "status": "conformant"})

    assert found == [
        "leaf d/equal/m/ratio: expected satisfied, came out not-satisfied (found 0.7, wanted at least 0.8)",
        (
            "status: expected conformant, came out suspended "
            "(not issued: d/equal is not-satisfied (severity critical or above))"
        ),
    ]


def test_steps_follow_the_status_over_time(spec: LoadedDocument) -> None:
    then = [
        {"waived": ["equal"], "expect": {"status": "conditional"}},
        {"after": "PT1H", "expect": {"status": "suspended"}},
        {"after": "P31D", "expect": {"status": "revoked"}},
        {"given": {"ratio": 0.9}, "due": ["equal"], "expect": {"status": "revoked"}},
        {"expect": {"status": "conformant"}},
    ]

    start = {"status": "conformant", "given": {"ratio": 0.7}, "expect": {"status": "suspended"}}
    assert failures(spec, **start, then=then) == []
    wrong = failures(spec, **start, then=[{"expect": {"status": "conformant"}}])
    assert len(wrong) == 1
    assert wrong[0].startswith("step 2: status: expected conformant, came out suspended")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"given": {"nothing": 1}}, "there is no leaf 'nothing'"),
        ({"waived": ["nothing"]}, "there is no requirement 'nothing'"),
        ({"subject": {"colour": "red"}}, "a subject has no colour"),
    ],
)
def test_unknown_names_are_refused(spec: LoadedDocument, case: dict[str, Any], said: str) -> None:
    with pytest.raises(CabcError, match=said):
        failures(spec, **case, expect={})


def test_short_name_of_two_leaves_is_refused() -> None:
    spec = document(requirement("a", leaf("x")), requirement("b", leaf("x")))
    body = {"tests": [{"name": "x", "given": {"x": 1}, "expect": {}}]}
    suite = SpecificationTests.model_validate_json(json.dumps(body))

    with pytest.raises(CabcError, match="leaf 'x' may be d/a/m/x or d/b/m/x"):
        run_case(spec, suite, suite.tests[0])


def test_command_with_junit_report(tmp_path: Path, spec: LoadedDocument) -> None:
    app = Typer()
    app.callback()(lambda: None)
    command.register(app)
    (tmp_path / "spec.json").write_bytes(spec.text)
    tests = {
        "given": {**GIVEN, "f1": 1},
        "tests": [
            {"name": "good", "baseline": {"f1": 0.8}, "expect": {"status": "conformant"}},
            {"name": "bad <b>", "baseline": {"f1": 0.8}, "expect": {"status": "revoked"}},
        ],
    }
    (tmp_path / "spec.tests.yaml").write_text(json.dumps(tests))

    result = CliRunner().invoke(app, ["test", str(tmp_path / "spec.json"), "--junit", str(tmp_path / "out.xml")])

    assert result.exit_code == 1
    assert "✔ good" in result.output
    assert "✖ bad <b>\n    status: expected revoked, came out conformant" in result.output
    suite = ET.parse(tmp_path / "out.xml").getroot()  # noqa: S314 (our own output)
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["bad <b>"]


def test_command_names_the_place_of_a_mistake(tmp_path: Path, spec: LoadedDocument) -> None:
    app = Typer()
    app.callback()(lambda: None)
    command.register(app)
    (tmp_path / "spec.json").write_bytes(spec.text)
    (tmp_path / "t.yaml").write_text("tests:\n  - name: x\n    expect: {status: fine}\n")

    result = CliRunner().invoke(app, ["test", str(tmp_path / "spec.json"), str(tmp_path / "t.yaml")])

    assert isinstance(result.exception, CabcError)
    assert "t.yaml:3:22: tests[0].expect.status" in str(result.exception)
