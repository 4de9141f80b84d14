"""Unit tests of a specification: values that are assumed, verdicts and status that are expected.

Nothing is retrieved: a given value stands for what the interface would have extracted. Everything behind that (units,
targets, staleness, roll-up, waivers, status policy) is the engine's own code.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cabc.document.base import Model, Name
from cabc.document.durations import Duration, parse_duration
from cabc.document.loaded import Leaf, LoadedDocument
from cabc.engine.assess import Assessed, Context, assess
from cabc.engine.plan import expand
from cabc.engine.status import Outcome, outcome
from cabc.errors import CabcError
from cabc.interfaces.base import SubjectFacts
from cabc.record.types import (
    Attestation,
    Collection,
    Evidence,
    LeafEvidence,
    Status,
    StatusRecord,
    Trigger,
    Verdict,
    Waiver,
)

__all__ = ["Case", "CaseResult", "Expected", "Given", "SpecificationTests", "Step", "run_case"]

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""Tests do not depend on the time at which they run."""

Plain = bool | int | float | str | list[bool | int | float | str]


class Given(Model):
    """What is assumed of one leaf when a bare value does not say it all. Exactly one of value, error, result."""

    value: Plain | None = None
    """As its interface would give it, in `valueUnit`."""
    target: Plain | None = None
    """What the target's interface would give, for a target that is retrieved."""
    age: Duration | None = None
    """Age of the evidence or of the attestation."""
    error: str | None = None
    """Why nothing could be retrieved."""
    result: Verdict | None = None
    """Verdict of an external assessor."""


class Expected(Model):
    """What has to come out; what is left out may be anything. Paths may be shortened to their end."""

    status: Status | None = None
    verdict: Verdict | None = None
    """Of the whole document."""
    dimensions: dict[str, Verdict] = {}
    requirements: dict[str, Verdict] = {}
    leaves: dict[str, Verdict] = {}
    cause: str | None = None
    """Text that the cause of the status must contain."""


class Step(Model):
    """One assessment: what is given, what is expected."""

    given: dict[str, Plain | Given] = {}
    """By leaf; the end of its path is enough where only one leaf ends so. A leaf with no value has no evidence."""
    waived: list[str] = []
    """Requirements with a waiver in force at this step."""
    due: list[str] = []
    """Requirements that are due; all when empty."""
    after: Duration | None = None
    """Time since the step before."""
    expect: Expected


class Case(Step):
    """A test: its first step and those that follow."""

    name: Name
    status: Status = Status.NONE
    """Status before the first step."""
    subject: dict[str, str] = {}
    """Facts about the subject: version, runId, digest."""
    baseline: dict[str, Plain] = {}
    """Values of the pinned baseline by leaf."""
    then: list[Step] = []
    """Further assessments; each keeps what was given before and changes what it gives itself."""


class SpecificationTests(Model):
    """The file: values that all tests share, and the tests."""

    given: dict[str, Plain | Given] = {}
    """Values by leaf that each test starts from."""
    subject: dict[str, str] = {}
    tests: list[Case]


@dataclass(frozen=True)
class CaseResult:
    """How one test ended."""

    name: str
    failures: list[str] = field(default_factory=list)
    """One line each: what was expected, what came out and why."""
    seconds: float = 0.0


def run_case(document: LoadedDocument, suite: SpecificationTests, case: Case) -> list[str]:
    """Return the failures of a test; CabcError for a path that the document does not have."""
    return _Run(document, suite, case).failures()


class _Run:
    """One test on its way through its steps."""

    def __init__(self, document: LoadedDocument, suite: SpecificationTests, case: Case) -> None:
        self._document = document
        self._case = case
        self._leaves = {leaf.path: leaf for leaf in document.leaves()}
        self._requirements = [node.path for node in document.requirements]
        self._given = self._resolved(suite.given)
        self._baseline = {_full(name, list(self._leaves), "leaf"): value for name, value in case.baseline.items()}
        self._facts = _facts(document, {**suite.subject, **case.subject})
        self._now = START
        self._status = _before(document, case.status, self._facts) if case.status is not Status.NONE else None
        self._earlier: list[Outcome] = []
        self._had: dict[str, LeafEvidence] = {}
        self._bodies: dict[str, bytes] = {}
        self._last: dt.datetime | None = None

    def failures(self) -> list[str]:
        found = []
        steps: list[Step] = [self._case, *self._case.then]
        for number, step in enumerate(steps, start=1):
            said = self._step(step, number)
            found += said if len(steps) == 1 else [f"step {number}: {line}" for line in said]
        return found

    def _resolved(self, given: Mapping[str, Any]) -> dict[str, Given]:
        full = {_full(name, list(self._leaves), "leaf"): value for name, value in given.items()}
        return {path: value if isinstance(value, Given) else Given(value=value) for path, value in full.items()}

    def _step(self, step: Step, number: int) -> list[str]:
        self._now += parse_duration(step.after) if step.after else dt.timedelta(minutes=1)
        self._given |= self._resolved(step.given)
        asked = [_full(name, self._requirements, "requirement") for name in step.due]
        due = expand(self._document, asked or None)
        self._collect(due)
        collection = Collection(
            id=f"c{number}",
            subject=self._facts,
            specification=self._document.digest,
            trigger=Trigger(
                id=f"t{number}",
                kind="manual",
                source="test",
                subject=self._facts.name,
                received=self._now,
                requirements=sorted(due or ()),
            ),
            started=self._now,
            ended=self._now,
            leaves=list(self._had.values()),
            engine_version="test",
        )
        assessed = assess(self._document, collection, self._bodies.get, self._context(step))
        self._status = assessed.statuses[-1] if assessed.statuses else self._status
        policy = self._document.specification.status_policy
        self._earlier = [outcome(assessed.findings, policy, due), *self._earlier]
        self._last = self._now
        return self._compare(step.expect, assessed)

    def _collect(self, due: frozenset[str] | None) -> None:
        """Make evidence of what is given for the leaves that are due."""
        for node in self._document.requirements:
            for leaf in node.leaves if due is None or node.path in due else ():
                given = self._given.get(leaf.path)
                self._had.pop(leaf.path, None)
                if given is not None and _kind(leaf) != "manual":
                    self._had[leaf.path] = self._evidence(leaf, given)

    def _evidence(self, leaf: Leaf, given: Given) -> LeafEvidence:
        if given.error is not None:
            return LeafEvidence(path=leaf.path, error=given.error)
        return LeafEvidence(
            path=leaf.path,
            value=self._piece(given.result if given.value is None else given.value, given),
            target=None if given.target is None else self._piece(given.target, given),
        )

    def _piece(self, value: object, given: Given) -> Evidence:
        body = json.dumps(value).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self._bodies[digest] = body
        return Evidence(
            digest=digest,
            media_type="application/json",
            size=len(body),
            collected=self._now - (parse_duration(given.age) if given.age else dt.timedelta(0)),
            origin="given by the test",
        )

    def _context(self, step: Step) -> Context:
        return Context(
            now=self._now,
            waivers=[
                _waiver(self._facts.name, _full(name, self._requirements, "requirement"), self._now)
                for name in step.waived
            ],
            attestations=[
                _attestation(self._facts.name, path, given, self._now)
                for path, given in self._given.items()
                if _kind(self._leaves[path]) == "manual" and given.value is not None
            ],
            baseline=self._baseline,
            previous=self._status,
            last=self._last,
            earlier=self._earlier,
            results={path: given.result for path, given in self._given.items() if given.result is not None},
            plugin=_given_plugin,
        )

    def _compare(self, expected: Expected, assessed: Assessed) -> list[str]:
        leaves = {each.path: (each.verdict, each.reason) for each in assessed.observations}
        requirements = {each.requirement: (each.verdict, each.reason) for each in assessed.findings}
        dimensions = {name: (verdict, "") for name, verdict in assessed.assessment.dimensions.items()}
        found = [
            *_verdicts("leaf", expected.leaves, leaves),
            *_verdicts("requirement", expected.requirements, requirements),
            *_verdicts("dimension", expected.dimensions, dimensions),
        ]
        if expected.verdict not in {None, assessed.assessment.verdict}:
            found.append(f"verdict: expected {expected.verdict}, came out {assessed.assessment.verdict}")
        status = self._status.status if self._status else Status.NONE
        cause = self._status.cause if self._status else "nothing was issued"
        if expected.status not in {None, status}:
            found.append(f"status: expected {expected.status}, came out {status} ({cause})")
        if expected.cause is not None and expected.cause not in cause:
            found.append(f"cause: expected {expected.cause!r} in it, came out {cause!r}")
        return found


def _verdicts(what: str, expected: Mapping[str, Verdict], found: Mapping[str, tuple[Verdict, str]]) -> list[str]:
    lines = []
    for name, wanted in expected.items():
        path = _full(name, list(found), what)
        verdict, reason = found[path]
        if verdict is not wanted:
            because = f" ({reason})" if reason else ""
            lines.append(f"{what} {path}: expected {wanted}, came out {verdict}{because}")
    return lines


def _full(name: str, paths: Sequence[str], what: str) -> str:
    """Return the one path that is or ends with a name."""
    if name in paths:
        return name
    found = [path for path in paths if path.endswith(f"/{name}")]
    if len(found) == 1:
        return found[0]
    msg = f"there is no {what} {name!r}" if not found else f"{what} {name!r} may be {' or '.join(found)}"
    raise CabcError(msg, fix=f"name one of {', '.join(found or paths)}")


def _kind(leaf: Leaf) -> str:
    return leaf.element.interface.kind if leaf.element.interface is not None else ""


def _facts(document: LoadedDocument, given: Mapping[str, str]) -> SubjectFacts:
    selector = document.specification.subject
    own = {
        "name": selector.name,
        "registeredModel": selector.registered_model,
        "version": selector.version,
        "inferenceService": selector.inference_service,
    }
    known = {field.alias or name for name, field in SubjectFacts.model_fields.items()}
    if unknown := sorted(set(given) - known):
        msg = f"a subject has no {', '.join(unknown)}"
        raise CabcError(msg, fix=f"name one of {', '.join(sorted(known))}")
    return SubjectFacts.model_validate({**own, **given})


def _before(document: LoadedDocument, status: Status, facts: SubjectFacts) -> StatusRecord:
    return StatusRecord(
        subject=facts.name,
        status=status,
        previous=Status.NONE,
        since=START,
        cause="given by the test",
        mode=document.specification.mode,
        version=facts.version,
        digest=facts.digest,
    )


def _waiver(subject: str, requirement: str, now: dt.datetime) -> Waiver:
    return Waiver(
        id="waiver",
        subject=subject,
        requirement=requirement,
        reason="given by the test",
        approver="test",
        created=now,
        expires=now + dt.timedelta(seconds=1),
    )


def _attestation(subject: str, path: str, given: Given, now: dt.datetime) -> Attestation:
    """Return an attestation in force; one with an error is one that ended."""
    created = now - (parse_duration(given.age) if given.age else dt.timedelta(0))
    return Attestation(
        id=f"attestation of {path}",
        subject=subject,
        path=path,
        statement="given by the test",
        value=given.value,
        party="test",
        created=created,
        valid_until=now if given.error else now + dt.timedelta(days=1),
    )


class _GivenPlugin:
    """Extracts what a test gave."""

    def extract(self, spec: object, body: bytes, media_type: str, details: object) -> Any:
        del spec, media_type, details
        return json.loads(body)


def _given_plugin(kind: str) -> type[_GivenPlugin]:
    del kind
    return _GivenPlugin
