"""Whatever happens in whatever order: no flapping, no suspended version in service, no difference after a kill."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platform_runtime.conformity_gate.plan import Mode, Policy, Verdict, plan, verdict

from tests.support.conformity_gate import KilledError, Trial

HOLD = dt.timedelta(seconds=100)

Happening = tuple[str, Any]

happenings: st.SearchStrategy[Happening] = st.one_of(
    st.tuples(st.just("release"), st.sampled_from(["good", "light", "grave"])),
    st.tuples(st.just("register"), st.sampled_from(["good", "light", "grave"])),
    st.tuples(st.just("deploy"), st.integers(0, 5)),
    st.tuples(st.just("candidate"), st.integers(0, 5)),
    st.tuples(st.just("champion"), st.integers(0, 5)),
    st.tuples(st.just("change"), st.tuples(st.integers(0, 5), st.sampled_from(["good", "light", "grave"]))),
    st.tuples(st.just("assess"), st.booleans()),
    st.tuples(st.just("waive"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 50, 500])),
)
policies = st.builds(
    Policy,
    mode=st.just(Mode.ENFORCE),
    allow_conditional=st.booleans(),
    hold=st.just(HOLD),
    without=st.sampled_from(["keep", "stop"]),
)
thorough = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def happen(trial: Trial, happening: Happening) -> None:
    """Let it happen; what names a version that is not there does not."""
    what, value = happening
    versions = list(trial.versions)
    match what:
        case "release":
            trial.deploy(trial.register(value))
        case "register":
            trial.register(value)
        case "assess":
            trial.assess(complete=value)
        case "waive":
            trial.waived = value
        case "wait":
            trial.wait(value)
        case "change" if value[0] < len(versions):
            trial.quality[versions[value[0]]] = value[1]
        case "deploy" if value < len(versions):
            trial.deploy(versions[value])
        case "candidate" | "champion" if value < len(versions):
            trial.named[what] = versions[value]


def world(trial: Trial) -> Any:
    seen = trial.gate._read("loan-approval")
    assert seen is not None
    return seen.world


def check(trial: Trial) -> None:
    """What holds whenever the gate has come to rest."""
    now, policy = world(trial), trial.policy
    good = [version for version in trial.versions if verdict(version, now, policy) is Verdict.ALLOWED]
    if trial.served and verdict(trial.served, now, policy) is Verdict.REFUSED:
        assert not good
        assert trial.stopped == (policy.without == "stop")
    elif trial.served:
        assert not trial.stopped
    assert verdict(trial.named.get("champion"), now, policy) is not Verdict.REFUSED
    if trial.served in good:
        assert trial.named.get("champion") == trial.served
    decisions = trial.gate.decisions()
    assert all(each.end in {"done", "overtaken"} for each in decisions)
    assert len({each.id for each in decisions}) == len(decisions)


@thorough
@given(policies, st.lists(happenings, max_size=14))
def test_at_rest_only_what_may_be_served_is_served(policy: Policy, history: list[Happening]) -> None:
    trial = Trial(policy)
    for happening in history:
        happen(trial, happening)
        trial.settle()
        check(trial)


@thorough
@given(policies, st.lists(happenings, max_size=14))
def test_the_gate_moves_traffic_only_for_news(policy: Policy, history: list[Happening]) -> None:
    """Between two things that happen a version gets or loses traffic once at most, however often the gate looks."""
    trial = Trial(policy)
    for happening in history:
        happen(trial, happening)
        before = len(trial.traffic)
        for _ in range(6):
            trial.poll()
            trial.wait(HOLD.total_seconds())
        moved = trial.traffic[before:]
        sources = [source for source, _ in moved]
        assert len(set(sources)) == len(sources)
        assert not {target for _, target in moved} & set(sources[:1])
        assert len(
            [each for each in trial.gate.decisions() if each.kind in {"rollback", "restore"} and each.end == "done"]
        ) == len(trial.traffic)


@thorough
@given(policies, st.lists(happenings, max_size=14), st.lists(st.one_of(st.none(), st.integers(1, 25)), min_size=14))
def test_a_kill_at_any_write_changes_nothing_in_the_end(
    policy: Policy, history: list[Happening], kills: list[int | None]
) -> None:
    calm, killed = Trial(policy), Trial(policy)
    for happening, kill in zip(history, kills, strict=False):
        happen(calm, happening)
        happen(killed, happening)
        calm.settle()
        killed.fuse.left = kill
        try:
            killed.settle()
        except KilledError:
            killed.restart()
        killed.fuse.left = None
        killed.settle()
        assert killed.state == calm.state
        assert killed.traffic == calm.traffic
        check(killed)
        killed.now = calm.now = max(killed.now, calm.now)
    # What one look decided at once, the other may have decided in two: the same decisions, in another order.
    made = [
        Counter((each.kind, each.source, each.target) for each in trial.gate.decisions()) for trial in (calm, killed)
    ]
    assert made[0] == made[1]
    told = [sorted(each.message() for each in trial.events.values()) for trial in (calm, killed)]
    assert told[0] == told[1]


@thorough
@given(policies, st.lists(happenings, max_size=14))
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(policy: Policy, history: list[Happening]) -> None:
    trial = Trial(policy)
    for happening in history:
        happen(trial, happening)
        trial.settle()
        assert [move for move in plan(world(trial), policy) if move.kind != "keep"] == []
