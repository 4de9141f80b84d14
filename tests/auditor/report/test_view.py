"""What each reader sees: nothing confidential in the wrong hands, no failure hidden, the cost bound to the run."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cabc.errors import CabcError
from cabc.record.types import Status, Verdict
from cabc.report.types import FindingView, LeafView, ReportView
from cabc.report.view import view
from sqlalchemy import event

from tests.auditor.report.conftest import View
from tests.support import cabc as sample
from tests.support import cabc_report as past


def finding(report: ReportView, path: str) -> FindingView:
    return next(found for found in report.findings if found.requirement == path)


def leaf(report: ReportView, path: str) -> LeafView:
    return next(found for found in report.leaves if found.path == path)


def test_summary_says_status_since_when_and_which_risks_are_open(seen: View) -> None:
    report = seen("executive")

    assert report.summary == (
        "credit-scoring version 4: suspended since 2026-11-20 06:00 UTC. 3 of 6 requirements not satisfied, "
        "which leaves risks R1, R2 open; 1 waiting for a person's answer."
    )
    assert report.status.status is Status.SUSPENDED
    assert report.counts == {
        Verdict.SATISFIED: 3,
        Verdict.NOT_SATISFIED: 2,
        Verdict.ERROR: 1,
        Verdict.NEEDS_REVIEW: 1,
    }


def test_failing_requirements_come_first_and_the_most_severe_before_others(seen: View) -> None:
    severities = [found.severity for found in seen("engineer").problems]

    assert severities == ["critical", "high", "high", "medium"]


def test_a_finding_says_since_when_it_fails(seen: View) -> None:
    report = seen()

    assert finding(report, past.BIAS).failing_since == past.START + dt.timedelta(days=10, seconds=4)
    assert finding(report, past.SUPPLY).failing_since == report.assessment.ended
    assert not finding(report, past.BIAS).failing_longer


def test_a_failure_that_is_older_than_what_is_looked_at_says_so(tmp_path: Path) -> None:
    bad = past.Run({past.RATIO: 0.5}, {past.RATIO: (Verdict.NOT_SATISFIED, "0.5")}, Status.SUSPENDED, "bias")
    with sample.record(tmp_path) as record:
        names = past.record_history(record, [bad] * 15)
        found = finding(view(record, names[-1], reader="executive"), past.BIAS)

    assert found.failing_longer
    assert found.failing_since == past.START + dt.timedelta(days=3, seconds=4)


@pytest.mark.parametrize("reader", ["executive", "engineer"])
def test_confidential_details_are_withheld_and_the_failure_is_not(seen: View, reader: str) -> None:
    report = seen(reader)
    text = report.model_dump_json()

    assert finding(report, past.SUPPLY).verdict is Verdict.NOT_SATISFIED
    assert report.counts[Verdict.NOT_SATISFIED] == 2
    assert report.withheld == 1
    for secret in ("Contoso", "CVE-2026-0001", "image has no severe", "worst of", "less than high"):
        assert secret not in text
    kept = sample.digest(f"{past.CVE} 'critical' 12".encode())
    assert kept not in text, "the digest of a value that can be guessed tells the value"


def test_an_engineer_sees_id_and_verdict_of_a_confidential_leaf_and_nothing_else(seen: View) -> None:
    found = leaf(seen("engineer"), past.CVE)

    shown = found.model_dump(exclude_defaults=True)
    assert shown.keys() == {"path", "requirement", "verdict", "confidential", "hidden"}
    assert found.verdict is Verdict.NOT_SATISFIED


def test_an_auditor_sees_confidential_details_with_evidence_and_age(seen: View) -> None:
    found = leaf(seen("auditor"), past.CVE)

    assert (found.found, found.wanted) == ("critical", "less than high")
    assert [kept.digest for kept in found.evidence] == [sample.digest(f"{past.CVE} 'critical' 12".encode())]
    assert found.age_seconds == 94


def test_a_cause_that_may_quote_a_confidential_leaf_is_replaced_for_guarded_readers(tmp_path: Path) -> None:
    bad = {past.CVE: (Verdict.NOT_SATISFIED, "found critical of Contoso")}
    with sample.record(tmp_path) as record:
        runs = [past.Run({past.CVE: "critical"}, bad, Status.CONDITIONAL, "image of Contoso is bad")]
        (name,) = past.record_history(record, runs)
        guarded, whole = (view(record, name, reader=reader) for reader in ("executive", "auditor"))

    assert "Contoso" not in guarded.model_dump_json()
    assert guarded.status.cause == f"1 requirement not satisfied: {past.SUPPLY}"
    assert whole.status.cause == "image of Contoso is bad"


def test_a_specification_that_is_confidential_as_a_whole_shows_ids_and_verdicts_only(tmp_path: Path) -> None:
    text = past.SPECIFICATION.replace("  version: 3\n", "  version: 3\n  confidential: true\n")
    with sample.record(tmp_path) as record:
        names = past.record_history(record, text=text)
        report = view(record, names[-1], reader="engineer")

    assert all(found.hidden for found in report.leaves)
    assert report.specification.name == "credit-scoring-eu-ai-act"
    assert not any(word in report.model_dump_json() for word in ("0.61", "Retrain", "Data governance", "Dana Doe"))
    assert len(report.problems) == 4


def test_changes_name_what_differs_from_the_assessment_before(seen: View) -> None:
    changes = {change.path: (change.before, change.after) for change in seen("engineer").changes}

    assert changes == {
        past.LOGGED: (Verdict.SATISFIED, Verdict.ERROR),
        past.REVIEW: (Verdict.SATISFIED, Verdict.NEEDS_REVIEW),
        past.CVE: (Verdict.SATISFIED, Verdict.NOT_SATISFIED),
    }
    hidden = next(change for change in seen("engineer").changes if change.path == past.CVE)
    assert (hidden.before_value, hidden.after_value) == (None, None)


def test_the_first_assessment_has_nothing_to_compare_with(seen: View) -> None:
    report = seen("engineer", 1)

    assert report.compared_with is None
    assert report.changes == []


def test_an_earlier_assessment_is_shown_as_it_was_then(seen: View) -> None:
    report = seen("executive", 7)

    assert report.status.status is Status.CONDITIONAL
    assert not report.assessment.latest
    assert [point.assessment for point in report.trend] == [f"a{number:05d}" for number in range(1, 8)]
    assert [step.status for step in report.history] == [Status.CONFORMANT, Status.CONDITIONAL]


def test_a_waived_failure_keeps_its_verdict_and_says_until_when(seen: View) -> None:
    report = seen("executive", 7)
    found = finding(report, "accuracy-robustness-security/operation")

    assert found.verdict is Verdict.NOT_SATISFIED
    assert found.waiver is not None
    assert found.waiver.state == "in force"
    assert {risk.id: risk.state for risk in report.risks}["R4"] == "waived"
    assert "1 waived" in report.summary


def test_a_risk_is_reduced_only_when_what_mitigates_it_is_satisfied(seen: View) -> None:
    states = {risk.id: (risk.state, risk.level) for risk in seen().risks}

    assert states == {
        "R1": ("not reduced", "high"),
        "R2": ("not reduced", "medium"),
        "R3": ("reduced", "high"),
        "R4": ("reduced", "medium"),
        "R5": ("not covered", "low"),
    }


def test_actions_are_due_when_the_risk_says(seen: View) -> None:
    action = next(item for item in seen().actions if item.finding == past.BIAS)

    assert action.due == dt.datetime(2026, 12, 15, tzinfo=dt.UTC)
    assert action.owner == "Head of credit"
    assert action.action.startswith("Retrain")


def test_a_status_that_time_alone_changed_is_shown_with_the_last_assessment(tmp_path: Path) -> None:
    from cabc.record.chain import draft

    with sample.record(tmp_path) as record:
        (name,) = past.record_history(record, [past.Run()])
        later = sample.status(
            Status.SUSPENDED, previous=Status.CONFORMANT, since=past.START + dt.timedelta(days=9), assessment=None,
            cause="not assessed since 2026-11-10 06:00 UTC, longer than P2D",
        )  # fmt: skip
        record.append([draft(later)])
        report = view(record, name, reader="executive")

    assert report.status.status is Status.SUSPENDED
    assert report.status.cause is not None
    assert report.status.cause.startswith("not assessed since")


def test_auditors_see_the_signed_heads_and_others_do_not(seen: View) -> None:
    assert [chain.chain for chain in seen("auditor").chains] == ["collect:credit-scoring", "assess:credit-scoring"]
    assert seen("engineer").chains == []


def test_an_unknown_assessment_is_named(record: object) -> None:
    with pytest.raises(CabcError, match="no assessment 'a9'"):
        view(record, "a9", reader="auditor")  # type: ignore[arg-type]


def test_the_same_assessment_gives_the_same_report(seen: View) -> None:
    assert seen("auditor").model_dump_json() == seen("auditor").model_dump_json()


def test_the_number_of_queries_and_rows_does_not_depend_on_the_history(tmp_path: Path) -> None:
    counts = []
    for number in (15, 45):
        folder = tmp_path / str(number)
        folder.mkdir()
        with sample.record(folder) as record:
            names = past.record_history(record, [past.Run()] * number, every=1)
            statements: list[str] = []
            event.listen(record.engine, "before_cursor_execute", lambda *args, to=statements: to.append(args[2]))
            view(record, names[-1], reader="auditor")
            counts.append(len(statements))

    assert counts[0] == counts[1]


def test_a_requirement_with_some_confidential_leaves_gives_the_reason_of_the_others(tmp_path: Path) -> None:
    text = past.SPECIFICATION.replace("{id: sample-size,", "{id: sample-size, confidential: true,")
    size = f"{past.BIAS}/disparity/sample-size"
    bad = {
        past.RATIO: (Verdict.NOT_SATISFIED, "found 0.61, wanted from 0.8 to 1.25"),
        size: (Verdict.NOT_SATISFIED, "found 4711 row"),
    }
    with sample.record(tmp_path) as record:
        runs = [past.Run({size: 4711}, bad, Status.SUSPENDED, "bias")]
        (name,) = past.record_history(record, runs, text=text)
        report = view(record, name, reader="engineer")

    assert finding(report, past.BIAS).reason == (
        f"{past.RATIO}: found 0.61, wanted from 0.8 to 1.25; 1 confidential measurement is not satisfied"
    )
    assert "4711" not in report.model_dump_json()


def test_a_leaf_whose_target_was_never_had_shows_the_declared_one(seen: View) -> None:
    from cabc.document.model import BaselineTarget, ReferenceTarget
    from cabc.report.leaves import _declared

    reviewed = leaf(seen("engineer"), past.REVIEW)
    assert reviewed.wanted == "equal to true"
    element = past.document().requirements[0].leaves[0].element
    changed = element.model_copy(update={"target": ReferenceTarget(ref="subject.version")})
    assert _declared(changed) == "subject.version"
    changed = element.model_copy(update={"target": BaselineTarget(baseline="pinned")})
    assert _declared(changed) == "the pinned baseline's value"
