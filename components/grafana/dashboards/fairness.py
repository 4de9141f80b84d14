"""Whether a model treats groups of people alike, and whether that changes."""

from __future__ import annotations

from components.grafana.dashboards.definition import Dashboard, Kind, Panel, Query, Row, Unit, above, below, one

__all__ = ["DASHBOARD"]

WHO = "{{model}} {{version}} {{attribute}}"
BY = "max by (model, version, attribute)"


def measured(metric: str) -> str:
    """Return the PromQL for a fairness metric."""
    return f'{BY} (model_fairness{{metric="{metric}"}})'


def with_interval(metric: str) -> tuple[Query, ...]:
    """Return the queries for a metric and the ends of its 95 % interval."""
    return (
        Query(measured(metric), WHO),
        Query(f'{BY} (model_fairness_low{{metric="{metric}"}})', f"{WHO} low end", judged=False),
        Query(f'{BY} (model_fairness_high{{metric="{metric}"}})', f"{WHO} high end", judged=False),
    )


NOW = Row(
    "Now",
    (
        Panel(
            "Disparate impact",
            "Lowest rate of good decisions of a group divided by the highest. 1 is equal; below 0.8 is the four-fifths"
            " rule's sign of adverse impact.",
            Kind.STAT,
            Unit.SCORE,
            one(measured("disparate_impact_ratio"), WHO),
            below(0.9, 0.8),
        ),
        Panel(
            "Demographic parity, difference",
            "Highest rate of good decisions of a group minus the lowest. 0 is equal.",
            Kind.STAT,
            Unit.SCORE,
            one(measured("demographic_parity_difference"), WHO),
            above(0.1, 0.2),
        ),
        Panel(
            "Equalized odds, difference",
            "Largest difference between groups in how often the model is right or wrong in the same way. 0 is equal."
            " Needs the truth.",
            Kind.STAT,
            Unit.SCORE,
            one(measured("equalized_odds_difference"), WHO),
            above(0.1, 0.2),
        ),
        Panel(
            "Smallest group",
            "Rows of the smallest group. With few rows the interval is wide and a figure can be chance.",
            Kind.STAT,
            Unit.NUMBER,
            one("min by (model, version, attribute) (model_fairness_group_rows)", WHO),
            below(100, 30),
        ),
    ),
)

TIME = Row(
    "Over time, with 95 % intervals",
    (
        Panel(
            "Disparate impact over time",
            "The ratio and the ends of its interval. A limit is surely broken when the high end is below it.",
            Kind.LINES,
            Unit.SCORE,
            with_interval("disparate_impact_ratio"),
            below(0.9, 0.8),
        ),
        Panel(
            "Demographic parity over time",
            "The difference and the ends of its interval.",
            Kind.LINES,
            Unit.SCORE,
            with_interval("demographic_parity_difference"),
            above(0.1, 0.2),
        ),
        Panel(
            "Equalized odds over time",
            "The difference and the ends of its interval.",
            Kind.LINES,
            Unit.SCORE,
            with_interval("equalized_odds_difference"),
            above(0.1, 0.2),
        ),
        Panel(
            "Fairness drift",
            "Each metric minus what it was on the reference data of the version: how far the model has moved since it"
            " was judged fit.",
            Kind.LINES,
            Unit.SCORE,
            one(
                "max by (model, version, metric, attribute) (model_fairness_drift)",
                "{{model}} {{version}} {{metric}} {{attribute}}",
            ),
        ),
    ),
)

GROUPS = Row(
    "Groups",
    (
        Panel(
            "Rows by group",
            "How many predictions of the window each figure above rests on.",
            Kind.BARS,
            Unit.NUMBER,
            one(
                "max by (model, version, attribute, group) (model_fairness_group_rows)",
                "{{model}} {{version}} {{attribute}} {{group}}",
            ),
        ),
    ),
)

DASHBOARD = Dashboard(
    "fairness",
    "Fairness",
    "Does a model treat groups of people alike, and does that change?",
    (NOW, TIME, GROUPS),
)
