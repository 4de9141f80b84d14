"""Stage `audit`: the auditor looked at exactly this version, at every leaf, and says what it conforms to."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from mlops.loop import waiting
from mlops.loop.auditor import FAILING, Auditor
from mlops.loop.context import Context
from mlops.loop.ledger import StageError

__all__ = ["assess", "check", "conforms", "verify"]

STAGE = "audit"

SECONDS = 180.0
"""Within this time an assessment that was asked for is done."""

GOOD = "conformant"


def check(context: Context) -> None:
    """Have the version assessed; assert that all was looked at, that it conforms, and that the record holds."""
    if context.auditor is None:
        context.ledger.add(STAGE, 0.0, "no auditor in this stack")
        return
    context.begun(STAGE)
    with context.ledger.stage(STAGE) as stage:
        told = assess(context)
        conforms(context, told)
        checked = verify(context)
        leaves, kinds = len(told["leaves"]), len({str(leaf["interface"]).split()[0] for leaf in told["leaves"]})
        stage.summary = f"{told['status']}: {leaves} leaves over {kinds} interfaces; record verified: {checked}"


def assess(context: Context) -> dict[str, Any]:
    """Ask for an assessment and wait for it; assert what it is about, and that no leaf was left out.

    Return it with `status`, `leaves` and `findings`; whether it is good is another matter.
    """
    assert context.auditor  # noqa: S101 (who asks has looked)
    auditor, name = context.auditor, context.sample.model
    auditor.check()
    source = auditor.subject_of(name)
    if auditor.subject(name) is None:
        reason = "is not audited: the order form names no specification for it"
        raise StageError(STAGE, source, reason, fix="cabcAuditor.specifications in the order form")
    trigger = auditor.ask(name)

    def done() -> dict[str, Any] | None:
        return next((each for each in auditor.assessments(name) if each["trigger"]["id"] == trigger), None)

    assessment = waiting.until(done, SECONDS)
    if assessment is None:
        reason = f"was not assessed within {SECONDS:.0f} s of being asked for (trigger {trigger})"
        raise StageError(STAGE, source, reason, fix="mlops status")
    leaves = auditor.leaves(name, assessment["id"])
    findings = auditor.findings(name, assessment["id"])
    told = {**assessment, "status": _status(auditor, name, assessment), "leaves": leaves, "findings": findings}
    context.assessment = told
    _is_about_this_version(context, told, source)
    _is_whole(context, told, source)
    _has_evidence(context, auditor, told, source)
    return told


def conforms(context: Context, told: dict[str, Any]) -> None:
    """Assert that the status is conformant. Raises StageError naming requirement and risk."""
    assert context.auditor  # noqa: S101 (who asks has looked)
    failing = [finding for finding in told["findings"] if finding["verdict"] in FAILING and not finding.get("waiver")]
    why = "; ".join(
        f"{finding['requirement']} is {finding['verdict']} ({finding['reason']}), risks "
        f"{', '.join(finding['risks']) or '(none)'}"
        for finding in failing
    )
    context.ledger.that(
        STAGE,
        "conformity status",
        told["status"] == GOOD,
        found=told["status"],
        wanted=GOOD,
        source=context.auditor.subject_of(context.sample.model),
        reason=f"is {told['status']}: {why or 'no requirement fails now; a full assessment has to raise it'}",
    )


def verify(context: Context) -> str:
    """Export the subject's record and have `cabc verify` judge it on this machine; return how much it holds."""
    assert context.auditor  # noqa: S101 (who asks has looked)
    auditor, name = context.auditor, context.sample.model
    archive = auditor.export(name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "record.zip")
        file.write_bytes(archive)
        command = [sys.executable, "-m", "cabc", "verify", "--archive", str(file), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        reason = f"could not be verified: {(done.stderr or done.stdout).strip()[-300:]}"
        raise StageError(STAGE, auditor.subject_of(name), reason, fix="uv sync (cabc has to be installed)") from None
    context.ledger.same(STAGE, "faults in the record", found=said["faults"], wanted=[], source="cabc verify --archive")
    digest = hashlib.sha256(archive).hexdigest()
    context.ledger.that(
        STAGE, "exit code", done.returncode == 0, found=done.returncode, wanted=0, source=f"archive sha256 {digest}"
    )
    checked = Counter(said["checked"])
    return f"{checked['entries']} entries, {checked['evidence']} pieces of evidence"


def _status(auditor: Auditor, name: str, assessment: dict[str, Any]) -> str:
    """Return the status once the assessment has become it."""

    def settled() -> str | None:
        known = auditor.subject(name) or {}
        return str(known["status"]) if known.get("assessment") == assessment["id"] else None

    found = waiting.until(settled, SECONDS)
    if found is not None:
        return found
    # Another assessment came after it; it is the later one whose status counts.
    return str((auditor.subject(name) or {}).get("status", "none"))


def _is_about_this_version(context: Context, told: dict[str, Any], source: str) -> None:
    about, registered = told["subject"], context.registered
    for what, found, wanted in (
        ("version that was assessed", about["version"], registered.version),
        ("run that was assessed", about["runId"], registered.run_id),
        ("digest that was assessed", about["digest"], registered.tags.get("digest", "")),
    ):
        context.ledger.same(STAGE, what, found=found, wanted=wanted, source=source)


def _is_whole(context: Context, told: dict[str, Any], source: str) -> None:
    """Assert that every requirement was due and every leaf had an answer; a person's may still be missing."""
    context.ledger.same(STAGE, "assessment of everything", found=told["complete"], wanted=True, source=source)
    context.ledger.that(
        STAGE,
        "leaves",
        bool(told["leaves"]),
        found=dict(Counter(leaf["verdict"] for leaf in told["leaves"])),
        wanted="one or more",
        source=source,
        reason="has no leaf: nothing was assessed",
    )
    unanswered = [leaf for leaf in told["leaves"] if leaf["verdict"] in {"error", "not-evaluated"}]
    reason = "; ".join(f"{leaf['path']}: {leaf['reason']}" for leaf in unanswered[:3])
    context.ledger.that(
        STAGE,
        "leaves without an answer",
        not unanswered,
        found=len(unanswered),
        wanted=0,
        source=source,
        reason=f"has {len(unanswered)} leaves without an answer: {reason}",
    )


def _has_evidence(context: Context, auditor: Auditor, told: dict[str, Any], source: str) -> None:
    """Assert that what was collected is still there, and is what its digest says."""
    digests = sorted({kept["digest"] for leaf in told["leaves"] for kept in leaf["evidence"]})
    name = context.sample.model
    right = 0
    for digest in digests:
        body = auditor.evidence(name, told["id"], digest)
        found = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if found != digest:
            raise StageError(STAGE, source, f"keeps other bytes than it names: {digest}, they are {found}")
        right += 1
    context.ledger.that(
        STAGE,
        "pieces of evidence that are what their digests say",
        right > 0,
        found=right,
        wanted=f"all {len(digests)}, and one or more",
        source=source,
        reason="has no evidence",
    )
