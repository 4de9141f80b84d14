"""The audit stage against the real service over a real record: what the loop reads is what the auditor says."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cabc.interfaces.base import SubjectFacts
from cabc.record.chain import draft
from cabc.record.types import Status, Trigger, Verdict
from cabc.service import logs

from mlops.loop.context import Context
from mlops.loop.ledger import StageError
from mlops.loop.stages import audit
from tests.mlops.loop.conftest import Begin
from tests.support import service
from tests.support.auditing import NAME, AuditorPart
from tests.support.cabc import record as open_record
from tests.support.loop import TOKEN
from tests.support.service import NOW
from tests.support.watching import Watched

BIAS = "data-governance/fair-at-training/disparity/fpr-ratio"


@pytest.fixture
def auditor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditorPart]:
    logs.configure(io.StringIO())

    def facts(**given: Any) -> SubjectFacts:
        return SubjectFacts(**{**given, "run_id": f"run-{given['version']}", "digest": f"sha256:{given['version']}"})

    # What the registry in memory says of a version.
    monkeypatch.setattr(service, "SubjectFacts", facts)
    with open_record(tmp_path) as record:
        yield AuditorPart(tmp_path, record)


@pytest.fixture
def context(begin: Begin, platform: Watched, auditor: AuditorPart) -> Context:
    platform.watching.append(auditor)
    coded = base64.b64encode(TOKEN.encode()).decode()
    path = "/api/v1/namespaces/cabc-auditor/secrets/cabc-auditor-tokens"
    platform.objects[path] = {"data": {"auditing-party": coded}}
    return begin(platform)


def failure(context: Context) -> StageError:
    with pytest.raises(StageError) as caught:
        audit.check(context)
    assert caught.value.stage == "audit"
    return caught.value


def test_an_assessment_is_about_this_version_whole_and_kept(context: Context) -> None:
    told = audit.assess(context)
    audit.conforms(context, told)
    facts = {fact.name: fact.found for fact in context.ledger.facts}
    assert facts["version that was assessed"] == "2"
    assert facts["run that was assessed"] == "run-2"
    assert facts["conformity status"] == "conformant"
    assert facts["leaves"] == {"satisfied": len(told["leaves"])}
    assert facts["pieces of evidence that are what their digests say"] == len(told["leaves"])


def test_a_suspended_version_is_told_with_requirement_and_risk(context: Context, auditor: AuditorPart) -> None:
    auditor.values, auditor.status = {BIAS: (0.61, Verdict.NOT_SATISFIED)}, Status.SUSPENDED
    found = failure(context)
    assert found.subject == f"subject {NAME} of auditor http://cabc-auditor.cabc-auditor.svc:8080"
    assert found.reason.startswith(
        "is suspended: data-governance/fair-at-training is not-satisfied (found 0.61, wanted"
    )
    assert found.reason.endswith("risks unfair-decisions")


def test_a_person_may_still_be_missing(context: Context, auditor: AuditorPart) -> None:
    auditor.values = {"data-governance/data-card/reviewed/answer": (None, Verdict.NEEDS_REVIEW)}
    told = audit.assess(context)
    assert {leaf["verdict"] for leaf in told["leaves"]} == {"satisfied", "needs-review"}


def test_a_leaf_without_an_answer_is_named(context: Context, auditor: AuditorPart) -> None:
    auditor.values = {BIAS: (None, Verdict.ERROR)}
    assert failure(context).reason.startswith(f"has 1 leaves without an answer: {BIAS}: the answer expired")


def test_an_assessment_of_another_version_decides_nothing(context: Context, auditor: AuditorPart) -> None:
    auditor.version = "1"
    assert failure(context).reason == "has version that was assessed 1, expected 2"


def test_a_model_without_a_specification(context: Context, auditor: AuditorPart) -> None:
    (auditor.folder / "credit.yaml").unlink()
    auditor.begin()
    assert "is not audited: the order form names no specification for it" in failure(context).reason


@pytest.mark.usefixtures("impatient")
def test_an_auditor_that_does_not_work_on_what_it_is_asked(
    context: Context, auditor: AuditorPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditor, "assess", lambda: "t-never")
    assert "was not assessed within 180 s of being asked for (trigger t-never)" in failure(context).reason


def test_a_token_that_is_not_there(context: Context, platform: Watched) -> None:
    platform.objects.clear()
    found = failure(context)
    assert (found.subject, found.reason) == ("Secret cabc-auditor/cabc-auditor-tokens", "has no key auditing-party")


def test_a_stopped_auditor(context: Context, auditor: AuditorPart) -> None:
    auditor.replicas = 0
    assert failure(context).reason == "does not answer: Deployment cabc-auditor/cabc-auditor is scaled to 0 replicas"


def test_a_record_that_holds_is_verified_on_this_machine(
    context: Context, platform: Watched, auditor: AuditorPart
) -> None:
    ask = Trigger(id="t-1", kind="manual", source="alice", subject=NAME, received=NOW)
    auditor.record.append([draft(ask)])
    platform.archive = auditor.archive()
    assert "entries" in audit.verify(context)
    assert {fact.name: fact.found for fact in context.ledger.facts}["faults in the record"] == []


def test_a_record_whose_verdicts_do_not_follow_from_its_evidence(
    context: Context, platform: Watched, auditor: AuditorPart
) -> None:
    auditor.assess()  # the values of a seeded past are not in its evidence
    platform.archive = auditor.archive()
    with pytest.raises(StageError, match="has faults in the record"):
        audit.verify(context)


def test_an_archive_that_is_none(context: Context, platform: Watched) -> None:
    platform.archive = b"no archive"
    with pytest.raises(StageError) as caught:
        audit.verify(context)
    assert "could not be verified" in caught.value.reason or "has faults in the record" in caught.value.reason
