"""How verdicts combine."""

from __future__ import annotations

from typing import Any

import pytest
from cabc.document.model import Metric
from cabc.engine.rollup import FAILING, combine, metric_verdict, worst
from cabc.record.types import Verdict
from hypothesis import given
from hypothesis import strategies as st

S, N, E, A, X, R = (
    Verdict.SATISFIED,
    Verdict.NOT_SATISFIED,
    Verdict.ERROR,
    Verdict.NOT_APPLICABLE,
    Verdict.NOT_EVALUATED,
    Verdict.NEEDS_REVIEW,
)
verdicts = st.lists(st.sampled_from(list(Verdict)), max_size=6)


def metric(aggregate: Any, *critical: bool) -> Metric:
    leaves = [
        {"id": f"l{n}", "dataType": "numeric", "comparison": "LessThan", "target": 1, "critical": each}
        for n, each in enumerate(critical)
    ]
    return Metric.model_validate({"id": "m", "aggregate": aggregate, "measurements": leaves})


@pytest.mark.parametrize(
    ("aggregate", "found", "expected"),
    [
        ("all", [S, S], S),
        ("all", [S, N, E], N),
        ("all", [S, E], E),
        ("all", [S, R], R),
        ("all", [S, X], X),
        ("all", [S, A], S),
        ("all", [A, A], A),
        ("all", [], X),
        ("any", [N, S, E], S),
        ("any", [N, E], N),
        ("any", [E, R], E),
        ({"atLeast": 2}, [S, S, N], S),
        ({"atLeast": 2}, [S, N, E], N),
        ({"atLeast": 2}, [S, E, E], E),
        ({"atLeast": 3}, [S, S], N),
        ({"weights": {"l0": 3, "l1": 1}, "min": 0.75}, [S, N], S),
        ({"weights": {"l0": 3, "l1": 1}, "min": 0.76}, [S, N], N),
        ({"weights": {"l0": 0.1, "l1": 0.2, "l2": 0.7}, "min": 0.3}, [S, S, E], S),
    ],
)
def test_aggregates(aggregate: Any, found: list[Verdict], expected: Verdict) -> None:
    by_id = {f"l{n}": verdict for n, verdict in enumerate(found)}

    assert metric_verdict(metric(aggregate, *[True] * len(found)), by_id) is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [([S, N], S), ([S, E], S), ([N, N], N), ([N, S], N), ([A, N], X), ([A, S], S)],
)
def test_leaf_that_is_not_critical_is_reported_and_does_not_fail(found: list[Verdict], expected: Verdict) -> None:
    assert metric_verdict(metric("all", True, False), {"l0": found[0], "l1": found[1]}) is expected


@given(verdicts)
def test_not_satisfied_absorbs_and_nothing_else_counts_as_satisfied(found: list[Verdict]) -> None:
    result = combine(found)

    if N in found:
        assert result is N
    assert (result is S) == (S in found and not FAILING.intersection(found))
    assert result in {*found, X}


@given(verdicts, st.lists(st.booleans(), min_size=6, max_size=6), st.sampled_from(["all", "any", {"atLeast": 2}]))
def test_satisfied_needs_a_satisfied_leaf(found: list[Verdict], critical: list[bool], aggregate: Any) -> None:
    by_id = {f"l{n}": verdict for n, verdict in enumerate(found)}
    result = metric_verdict(metric(aggregate, *critical[: len(found)]), by_id)

    assert result is not S or S in found
    if aggregate == "all" and any(verdict in FAILING for verdict, own in zip(found, critical, strict=False) if own):
        assert result is not S


@given(verdicts, verdicts)
def test_more_failures_never_make_it_better(found: list[Verdict], more: list[Verdict]) -> None:
    failing = [verdict for verdict in more if verdict in FAILING]

    assert worst([*found, *failing]) is not S or (worst(found) is S and not failing)
