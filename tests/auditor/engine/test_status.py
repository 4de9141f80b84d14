"""The status machine: single steps, and what holds whatever happens."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from cabc.document.model import StatusPolicy
from cabc.engine.status import Outcome, elapse, outcome, revoke, step
from cabc.record.types import Assessment, Finding, Status, StatusRecord, Verdict
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support import cabc as samples

NOW = samples.NOW
FAILING = (Verdict.NOT_SATISFIED, Verdict.ERROR, Verdict.NEEDS_REVIEW, Verdict.NOT_EVALUATED)


def finding(requirement: str, verdict: Verdict, *, severity: Any = "critical", waiver: str | None = None) -> Finding:
    return samples.finding(requirement, verdict=verdict, severity=severity, waiver=waiver)


def policy(**keys: Any) -> StatusPolicy:
    return StatusPolicy.model_validate(keys)


def held(status: Status, **changes: Any) -> StatusRecord:
    return samples.status(status, **changes)


def stepped(
    findings: list[Finding],
    previous: Status,
    *,
    due: list[str] | None = None,
    rules: StatusPolicy | None = None,
    earlier: list[Outcome] | None = None,
) -> StatusRecord | None:
    rules = rules or policy()
    current = outcome(findings, rules, due)
    assessment = samples.assessment(complete=due is None)
    before = None if previous is Status.NONE else held(previous)
    return step(assessment, rules, current, earlier or [], before)


GOOD = finding("d/a", Verdict.SATISFIED)
BAD = finding("d/a", Verdict.NOT_SATISFIED)


@pytest.mark.parametrize("verdict", FAILING)
@pytest.mark.parametrize("before", [Status.NONE, Status.CONFORMANT, Status.CONDITIONAL])
def test_grave_failure_suspends(verdict: Verdict, before: Status) -> None:
    found = stepped([finding("d/a", verdict)], before)

    assert found is not None
    assert (found.status, found.previous, found.findings) == (Status.SUSPENDED, before, ["d/a"])
    assert f"d/a is {verdict.value} (severity critical or above)" in found.cause


@pytest.mark.parametrize(
    ("findings", "status", "said"),
    [
        ([GOOD], Status.CONFORMANT, "all 1 requirements that apply are satisfied"),
        ([GOOD, finding("d/b", Verdict.NOT_SATISFIED, severity="high")], Status.CONDITIONAL, "below severity critical"),
        ([GOOD, finding("d/b", Verdict.ERROR, severity="info")], Status.CONDITIONAL, "d/b is error"),
        ([finding("d/a", Verdict.NOT_SATISFIED, waiver="w1")], Status.CONDITIONAL, "(waived)"),
        ([GOOD, finding("d/b", Verdict.NOT_APPLICABLE)], Status.CONFORMANT, "all 1 requirements"),
    ],
)
def test_issued(findings: list[Finding], status: Status, said: str) -> None:
    found = stepped(findings, Status.NONE)

    assert found is not None
    assert (found.status, found.previous) == (status, Status.NONE)
    assert said in found.cause


@pytest.mark.parametrize("findings", [[], [finding("d/a", Verdict.NOT_APPLICABLE)]])
def test_nothing_evaluated_is_never_conformant(findings: list[Finding]) -> None:
    assert stepped(findings, Status.NONE) is None
    found = stepped(findings, Status.CONFORMANT)
    assert found is not None
    assert found.status is Status.SUSPENDED


def test_policy_decides_which_severity_suspends() -> None:
    findings = [finding("d/a", Verdict.NOT_SATISFIED, severity="medium")]

    assert stepped(findings, Status.CONFORMANT, rules=policy(suspendOn="medium")).status is Status.SUSPENDED  # type: ignore[union-attr]
    assert stepped(findings, Status.CONFORMANT, rules=policy(suspendOn="high")).status is Status.CONDITIONAL  # type: ignore[union-attr]


@pytest.mark.parametrize("before", [Status.CONDITIONAL, Status.SUSPENDED, Status.REVOKED])
def test_only_a_full_pass_lifts(before: Status) -> None:
    partial = stepped([GOOD], before, due=["d/a"])
    assert partial is None or partial.status is before
    assert stepped([GOOD], before).status is Status.CONFORMANT  # type: ignore[union-attr]


def test_revoked_is_not_lifted_to_conditional() -> None:
    waived = [GOOD, finding("d/b", Verdict.NOT_SATISFIED, waiver="w1")]

    assert stepped(waived, Status.SUSPENDED).status is Status.CONDITIONAL  # type: ignore[union-attr]
    kept = stepped(waived, Status.REVOKED)
    assert kept is None or kept.status is Status.REVOKED


def test_two_of_three_failures_suspend_and_one_is_a_condition() -> None:
    rules = policy(down={"failures": 2, "of": 3})

    def past(*verdicts: Verdict, due: list[str] | None = None) -> list[Outcome]:
        return [outcome([finding("d/a", verdict)], rules, due) for verdict in verdicts]

    good, bad = Verdict.SATISFIED, Verdict.NOT_SATISFIED
    once = stepped([BAD], Status.CONFORMANT, rules=rules, earlier=past(good, good))
    assert once is not None
    assert (once.status, once.findings) == (Status.CONDITIONAL, ["d/a"])
    assert "1 of 2 failures before suspension" in once.cause
    assert stepped([BAD], Status.CONDITIONAL, rules=rules, earlier=past(good, bad)).status is Status.SUSPENDED  # type: ignore[union-attr]
    third = stepped([BAD], Status.CONDITIONAL, rules=rules, earlier=past(good, good, bad))
    assert third is None or third.status is Status.CONDITIONAL, "the failure before is out of the window"

    def suspended(due: list[str], earlier: list[Outcome]) -> bool:
        found = stepped([BAD], Status.CONDITIONAL, rules=rules, earlier=earlier, due=due)
        return found is not None and found.status is Status.SUSPENDED

    assert not suspended(["d/other"], past(bad)), "a failure that was only carried along is no second one"
    assert suspended(["d/a"], past(bad))
    first_then_carried = [*past(bad, due=["d/other"]), *past(bad)]
    assert suspended(["d/a"], first_then_carried)
    assert not suspended(["d/other"], first_then_carried)


def test_suspension_is_not_lifted_while_failures_are_counted() -> None:
    rules = policy(down={"failures": 3, "of": 3})

    found = stepped([BAD], Status.SUSPENDED, rules=rules, earlier=[outcome([GOOD], rules, None)] * 2)

    assert found is None or found.status is Status.SUSPENDED


def test_same_again_is_no_step_but_another_cause_or_version_is() -> None:
    previous = held(Status.SUSPENDED, findings=["d/a"])
    rules = policy()

    def after(findings: list[Finding], **subject: Any) -> StatusRecord | None:
        assessment = samples.assessment("a2", subject=samples.subject(**subject), ended=NOW + dt.timedelta(hours=1))
        return step(assessment, rules, outcome(findings, rules, None), [], previous)

    assert after([BAD]) is None
    other = after([BAD, finding("d/b", Verdict.NOT_SATISFIED)])
    assert other is not None
    assert (other.status, other.findings, other.since) == (Status.SUSPENDED, ["d/a", "d/b"], previous.since)
    version = after([BAD], version="4")
    assert version is not None
    assert version.since == previous.since, "deploying another bad version does not restart the suspension's clock"


def test_conformity_is_issued_to_a_version() -> None:
    assessment = samples.assessment("a2", subject=samples.subject(version="4"), ended=NOW + dt.timedelta(hours=1))
    found = step(assessment, policy(), outcome([GOOD], policy(), None), [], held(Status.CONFORMANT))

    assert found is not None
    assert (found.status, found.version, found.since) == (Status.CONFORMANT, "4", assessment.ended)


def test_time_revokes_and_suspends() -> None:
    rules = policy(revokeAfter="P30D", staleAfter="P2D")
    day = dt.timedelta(days=1)

    suspended = held(Status.SUSPENDED)
    assert elapse(rules, suspended, NOW, NOW + 29 * day) is None
    revoked = elapse(rules, suspended, NOW, NOW + 30 * day)
    assert revoked is not None
    assert (revoked.status, revoked.assessment) == (Status.REVOKED, None)
    assert revoked.cause == "suspended since 2026-11-24 12:00 UTC, longer than P30D"

    for before in (Status.CONFORMANT, Status.CONDITIONAL):
        assert elapse(rules, held(before), NOW + day, NOW + 2 * day) is None
        stale = elapse(rules, held(before), NOW + day, NOW + 3 * day)
        assert stale is not None
        assert (stale.status, stale.previous) == (Status.SUSPENDED, before)
    assert elapse(policy(), suspended, NOW, NOW + 999 * day) is None
    assert elapse(rules, None, None, NOW) is None
    assert elapse(rules, held(Status.REVOKED), NOW, NOW + 999 * day) is None


def test_revoked_by_hand_names_who_and_why() -> None:
    found = revoke(held(Status.CONFORMANT), reason="incident 7", actor="authority", now=NOW)

    assert (found.status, found.previous, found.actor) == (Status.REVOKED, Status.CONFORMANT, "authority")
    assert found.cause == "revoked by authority: incident 7"


REQUIREMENTS = {"d/a": "critical", "d/b": "high", "d/c": "medium", "d/e": "info"}


class Machine(RuleBasedStateMachine):
    """Any sequence of full and partial assessments, waivers, time and revocations."""

    def __init__(self) -> None:
        super().__init__()
        self.rules = policy()
        self.now = NOW
        self.held: StatusRecord | None = None
        self.before: StatusRecord | None = None
        self.earlier: list[Outcome] = []
        self.last: Outcome | None = None
        self.event = "start"
        self.ended: dt.datetime | None = None
        self.verdicts = dict.fromkeys(REQUIREMENTS, Verdict.NOT_EVALUATED)
        self.waived: set[str] = set()

    @initialize(
        suspend_on=st.sampled_from(["medium", "high", "critical"]),
        of=st.integers(1, 4),
        failures=st.integers(1, 4),
    )
    def rules_of_the_document(self, suspend_on: str, of: int, failures: int) -> None:
        down = {"failures": min(failures, of), "of": of}
        self.rules = policy(suspendOn=suspend_on, revokeAfter="P30D", staleAfter="P7D", down=down)

    def moved(self, after: StatusRecord | None, event: str) -> None:
        self.before, self.event = self.held, event
        if after is not None:
            assert after.previous == (self.held.status if self.held else Status.NONE)
            assert after.cause
            self.held = after

    @rule(verdicts=st.fixed_dictionaries(dict.fromkeys(REQUIREMENTS, st.sampled_from(list(Verdict)))))
    def full(self, verdicts: dict[str, Verdict]) -> None:
        self.verdicts = verdicts
        self.assess(None)

    @rule()
    def full_pass(self) -> None:
        self.verdicts = dict.fromkeys(REQUIREMENTS, Verdict.SATISFIED)
        self.assess(None)

    @rule(requirement=st.sampled_from(sorted(REQUIREMENTS)), verdict=st.sampled_from(list(Verdict)))
    def partial(self, requirement: str, verdict: Verdict) -> None:
        self.verdicts = {**self.verdicts, requirement: verdict}
        self.assess([requirement])

    @rule(requirement=st.sampled_from(sorted(REQUIREMENTS)))
    def waive(self, requirement: str) -> None:
        self.waived ^= {requirement}

    def assess(self, due: list[str] | None) -> None:
        self.now += dt.timedelta(hours=1)
        findings = [
            finding(name, verdict, severity=REQUIREMENTS[name], waiver="w" if name in self.waived else None)
            for name, verdict in self.verdicts.items()
        ]
        self.last = outcome(findings, self.rules, due)
        assessment: Assessment = samples.assessment(f"a{self.now:%d%H}", complete=due is None, ended=self.now)
        self.moved(step(assessment, self.rules, self.last, self.earlier, self.held), "full" if due is None else "part")
        self.earlier = [self.last, *self.earlier][: self.rules.down.of]
        self.ended = self.now

    @rule(days=st.integers(1, 40))
    def time(self, days: int) -> None:
        self.now += dt.timedelta(days=days)
        self.moved(elapse(self.rules, self.held, self.ended, self.now), "time")

    @precondition(lambda self: self.held is not None and self.held.status is not Status.REVOKED)
    @rule()
    def by_hand(self) -> None:
        assert self.held is not None
        self.moved(revoke(self.held, reason="x", actor="y", now=self.now), "hand")

    @invariant()
    def conformant_has_no_failure(self) -> None:
        if self.held and self.held.status is Status.CONFORMANT and self.event in {"full", "part"}:
            assert self.last is not None
            assert not self.last.grave
            assert not self.last.light
            assert not self.last.waived
            assert self.last.satisfied

    @invariant()
    def up_only_by_a_full_pass(self) -> None:
        order = [Status.REVOKED, Status.SUSPENDED, Status.CONDITIONAL, Status.CONFORMANT]
        if self.before and self.held and order.index(self.held.status) > order.index(self.before.status):
            assert self.event == "full"
            assert self.last is not None
            assert not self.last.grave
            if self.before.status is Status.REVOKED:
                assert self.held.status is Status.CONFORMANT

    @invariant()
    def revoked_by_time_or_by_hand_only(self) -> None:
        newly = self.held and self.held.status is Status.REVOKED
        if newly and not (self.before and self.before.status is Status.REVOKED):
            assert self.event in {"time", "hand", "start"}

    @invariant()
    def enough_grave_failures_are_never_less_than_suspended(self) -> None:
        if self.event == "full" and self.last and self.last.grave and self.rules.down.failures == 1:
            assert self.held is not None
            assert self.held.status in {Status.SUSPENDED, Status.REVOKED}

    @invariant()
    def nothing_is_issued_on_part_of_the_evidence(self) -> None:
        if self.event == "part" and self.before is None:
            assert self.held is None


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
