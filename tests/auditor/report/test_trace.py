"""From risk to evidence and back, in the library and on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from cabc.cli import report as commands
from cabc.errors import CabcError
from cabc.report.trace import Trace, trace
from typer.testing import CliRunner

from tests.auditor.report.conftest import View
from tests.support import cabc as sample
from tests.support import cabc_report as past


def kinds(found: Trace) -> list[tuple[str, str]]:
    return [(found.kind, found.id), *(pair for link in found.links for pair in kinds(link))]


def test_a_risk_leads_to_its_evidence(seen: View) -> None:
    found = trace(seen(), "R1")

    kept = sample.digest(f"{past.RATIO} 0.61 12".encode())
    assert kinds(found)[:4] == [
        ("risk", "R1"),
        ("requirement", past.BIAS),
        ("measurement", past.RATIO),
        ("evidence", kept),
    ]
    assert found.verdict == "not reduced"


def test_a_leaf_leads_to_its_evidence_its_requirement_and_its_risks(seen: View) -> None:
    found = kinds(trace(seen(), "fpr-ratio"))

    assert found[0] == ("measurement", past.RATIO)
    assert {kind for kind, _ in found} == {"measurement", "evidence", "requirement", "risk"}
    assert ("risk", "R1") in found


def test_a_requirement_is_found_by_the_end_of_its_path(seen: View) -> None:
    assert trace(seen(), "bias-exam").id == past.BIAS


def test_what_a_reader_may_not_see_is_not_in_the_trace(seen: View) -> None:
    found = trace(seen("engineer"), past.SUPPLY)

    assert "Contoso" not in str(found)
    assert found.links[0].text == "confidential"
    assert found.verdict == "not-satisfied"


def test_an_unknown_name_gives_the_known_ones(seen: View) -> None:
    with pytest.raises(CabcError, match="'R9' is no risk") as error:
        trace(seen(), "R9")

    assert error.value.fix is not None
    assert "R1" in error.value.fix


app = typer.Typer()
commands.register(app)


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home, tmp_path / "home")
    return tmp_path / "home"


def run(place: Path, *words: str) -> str:
    answer = CliRunner().invoke(app, [*words, "--home", str(place)], catch_exceptions=False)
    assert answer.exit_code == 0
    return answer.stdout


def test_report_of_a_subject_is_its_latest(place: Path) -> None:
    text = run(place, "report", past.SUBJECT)

    assert text.startswith("# Conformity report for the engineer: Credit scoring")
    assert "a00012" in text


@pytest.mark.parametrize("format_", ["html", "md", "pdf", "json", "csv", "oscal", "poam"])
def test_report_in_every_format(place: Path, tmp_path: Path, format_: str) -> None:
    file = tmp_path / "out" / f"report.{format_}"
    run(place, "report", past.SUBJECT, "--reader", "auditor", "--format", format_, "-o", str(file))

    assert file.stat().st_size > 500


def test_report_of_one_assessment(place: Path) -> None:
    body = json.loads(run(place, "report", "a00007", "--format", "json"))

    assert body["assessment"]["id"] == "a00007"
    assert body["status"]["status"] == "conditional"


def test_a_name_that_is_neither_subject_nor_assessment(place: Path) -> None:
    with pytest.raises(CabcError, match="neither a subject") as error:
        run(place, "report", "nobody\x1b[31m")

    assert "\x1b" not in str(error.value)
    assert "credit-scoring" in str(error.value.fix)


def test_no_plan_of_action_when_nothing_fails(place: Path) -> None:
    with pytest.raises(CabcError, match="nothing fails"):
        run(place, "report", "a00001", "--format", "poam")


def test_publish_says_where(place: Path) -> None:
    text = run(place, "publish", past.SUBJECT)
    body = json.loads(run(place, "publish", past.SUBJECT, "--json"))

    assert "credit-scoring: suspended" in text
    assert str(place / "published" / "credit-scoring") in text
    assert body["status"] == "suspended"


def test_trace_as_text_and_as_json(place: Path) -> None:
    lines = run(place, "trace", past.SUBJECT, "R1").splitlines()
    body = json.loads(run(place, "trace", past.SUBJECT, "R1", "--json"))

    assert lines[0].startswith("risk R1 [not reduced]")
    assert lines[1].startswith(f"  requirement {past.BIAS} [not satisfied]")
    assert body["links"][0]["id"] == past.BIAS


def test_of_two_publishers_one_is_told_to_wait(place: Path) -> None:
    busy = pytest.raises(CabcError, match="another process is publishing")
    with sample.record(place) as record, record.lease(past.SUBJECT, "publish"), busy as error:
        run(place, "publish", past.SUBJECT)

    assert error.value.fix == "try again in ten seconds"
