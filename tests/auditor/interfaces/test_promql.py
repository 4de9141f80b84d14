"""Queries that would read everything are refused before they are sent; ordinary ones are not."""

from __future__ import annotations

import datetime as dt

import pytest
from cabc.interfaces.promql import lint

WEEK = dt.timedelta(days=7)


@pytest.mark.parametrize(
    "query",
    [
        "up",
        "1 + 1",
        'up{job="x"}',
        "sum(rate(scoring_decisions_logged_total[15m])) / sum(rate(request_predict_seconds_count[15m]))",
        "histogram_quantile(0.95, sum by (le) (rate(request_predict_seconds_bucket[5m])))",
        "max(feature_drift_psi)",
        'sum without (pod) ({job="x", code=~"5.."})',
        '{__name__="up"}',
        '{"up"}',
        '{"my.metric", job="x"}',
        "max_over_time(rate(x[5m])[1d:5m])",
        "x offset 1w",
        "rate(x[1h30m])",
        "rate(x[300])",
        'x{a="{}[100d]"}',
        "x # {}\n",
        "x{a='it\\'s'}",
        "a:b:c{}",
        "x @ end()",
    ],
)
def test_ordinary_queries_pass(query: str) -> None:
    assert lint(query, WEEK) == []


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("{}", "everything"),
        ('{__name__=~".+"}', "everything"),
        ('{job=~".*"}', "everything"),
        ('{job!=""}', "everything"),
        ('{job=""}', "everything"),
        ('count({__name__!=""})', "everything"),
        ("count by (job) ({pod=~`.+`})", "everything"),
        ('up + on (a) group_left () {x=~".+"}', "everything"),
        ("rate(x[30d])", "longer"),
        ("rate(x[1w1s])", "longer"),
        ("rate(x[1y])", "longer"),
        ("x[30d:1d]", "longer"),
        ("max_over_time(x[7d:1s])", "steps"),
        ("max_over_time(max_over_time(x[1d:1m])[1d:1m])", "steps"),
        ("max_over_time(x[7d:1ms])", "steps"),
        ("rate(x[5x])", "not understood"),
        ("rate(x[])", "not understood"),
        ('up{job="x', "quote"),
        ("x" * 5000, "longer than"),
    ],
)
def test_greedy_queries_are_refused(query: str, why: str) -> None:
    assert any(why in mistake for mistake in lint(query, WEEK)), lint(query, WEEK)
