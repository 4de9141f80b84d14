"""The arithmetic of what logging costs a model server."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.serving import ratios


def arm(p99: list[float], *, processor: float = 2.0) -> dict[str, Any]:
    """Return a summary as measured, with the same figures for both percentiles."""
    rounds = {"p50OfRuns": p99, "p99OfRuns": p99, "p50": max(p99), "p99": max(p99)}
    return {**rounds, "processorPerAnswer": processor}


def test_the_ratio_is_that_of_the_median_rounds_and_one_bad_round_does_not_move_it() -> None:
    found = ratios(arm([11.0] * 8 + [500.0], processor=2.2), arm([10.0] * 9))
    assert found["p99"]["ofMedians"] == pytest.approx(1.1)
    assert found["p99"]["all"] == 50
    assert found["processor"] == pytest.approx(1.1)


def test_the_interval_is_as_wide_as_the_rounds_are_apart() -> None:
    quiet = [10 + 0.01 * number for number in range(18)]
    restless = [5.0 + number for number in range(18)]
    sure, unsure = (ratios(arm(rounds), arm(quiet))["p99"] for rounds in (quiet[::-1], restless))
    for found in (sure, unsure):
        assert found["least"] <= found["ofMedians"] <= found["most"]
    assert sure["most"] - sure["least"] < 0.05
    assert unsure["most"] - unsure["least"] > 0.2


def test_rounds_that_were_slow_for_both_say_nothing_about_logging() -> None:
    slow = [5.0, 10.0, 20.0, 40.0, 80.0]
    found = ratios(arm([1.02 * each for each in slow]), arm(slow))["p99"]
    assert [found[each] for each in ("least", "ofMedians", "most")] == pytest.approx([1.02] * 3)


def test_the_same_figures_give_the_same_interval() -> None:
    some, others = arm([1.0, 2.0, 3.0]), arm([2.0, 3.0, 9.0])
    assert ratios(some, others) == ratios(some, others)
