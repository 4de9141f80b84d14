"""How differently a model treats groups, with intervals. Figures are fairlearn's, intervals a seeded bootstrap.

Everything is computed from the counts of each group by label and decision: they say all that these figures depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from fairlearn import metrics

from platform_runtime.model_monitor.reference import Fairness, Interval

__all__ = ["CELLS", "DIFFERENCES", "MINIMUM", "RATIO", "UNLABELLED", "measure"]

Counts = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

CELLS = (3, 2)
"""Counts of one group: label no, yes or unknown, by decision no or yes."""

UNLABELLED = 2

MINIMUM = 30
"""Rows that a group must have to be compared."""

DRAWS = 2000
SEED = 0
LEVELS = (0.025, 0.975)

DIFFERENCES = ("demographic_parity_difference", "equalized_odds_difference")
"""0 is fair."""

RATIO = "disparate_impact_ratio"
"""1 is fair; below 0.8 is what the four-fifths rule calls adverse impact."""


def measure(groups: Mapping[str, Counts], minimum: int = MINIMUM) -> Fairness:
    """Compare the groups that are large enough; with fewer than two of them there is nothing to compare."""
    rows = {name: int(cells.sum()) for name, cells in groups.items() if cells.sum()}
    decided = [cells for cells in groups.values() if cells.sum() >= minimum]
    figures: dict[str, Interval] = {}
    if len(decided) > 1:
        # Who got what needs no labels: all rows count.
        counts = np.stack([cells.sum(axis=0) for cells in decided])
        drawn = _draw(counts)
        for name, figure, of in (
            (DIFFERENCES[0], metrics.demographic_parity_difference, _difference),
            (RATIO, metrics.demographic_parity_ratio, _ratio),
        ):
            value = _by_fairlearn(figure, np.stack([_unlabelled(each) for each in counts]))
            figures |= _interval(name, value, of(_rates(drawn)))
    labelled = [cells[:UNLABELLED] for cells in groups.values() if cells[:UNLABELLED].sum() >= minimum]
    # A rate of errors needs somebody in each group who could have been decided wrongly in that way.
    if len(labelled) > 1 and all(cells.sum(axis=1).all() for cells in labelled):
        counts = np.stack(labelled)
        value = _by_fairlearn(metrics.equalized_odds_difference, counts)
        drawn = _draw(counts.reshape(len(labelled), -1)).reshape(DRAWS, len(labelled), *CELLS[1:], 2)
        worst = np.maximum(_difference(_rates(drawn[:, :, 0])), _difference(_rates(drawn[:, :, 1])))
        figures |= _interval(DIFFERENCES[1], value, worst)
    return Fairness(figures=figures, groups=rows)


def _unlabelled(decisions: Counts) -> Counts:
    """Return the decisions as counts by label, all of one label: parity does not look at it."""
    return np.stack([decisions, np.zeros_like(decisions)])


def _by_fairlearn(figure: Callable[..., float], counts: Counts) -> float:
    """Ask fairlearn about rows that stand for many."""
    group, label, decision = np.nonzero(counts)
    return float(
        figure(label, decision, sensitive_features=group, sample_weight=counts[group, label, decision].astype(float))
    )


def _draw(counts: Counts) -> Floats:
    """Return DRAWS samples like this one: each group drawn from itself, in its own size."""
    generator = np.random.default_rng(SEED)
    sizes = counts.sum(axis=1)
    return np.stack(
        [generator.multinomial(size, cells / size, size=DRAWS) for size, cells in zip(sizes, counts, strict=True)],
        axis=1,
    ).astype(np.float64)


def _rates(counts: Floats) -> Floats:
    """Return the share of yes; NaN where nobody was drawn."""
    total = counts.sum(axis=-1)
    rates: Floats = np.divide(counts[..., 1], total, out=np.full(total.shape, np.nan), where=total > 0)
    return rates


def _difference(rates: Floats) -> Floats:
    return np.asarray(rates.max(axis=-1) - rates.min(axis=-1))


def _ratio(rates: Floats) -> Floats:
    """Return least over most; 1 where nobody gets anything, as all are treated alike."""
    most = rates.max(axis=-1)
    ratios: Floats = np.divide(rates.min(axis=-1), most, out=np.ones_like(most), where=most > 0)
    return ratios


def _interval(name: str, value: float, drawn: Floats) -> dict[str, Interval]:
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not drawn.size:
        return {}
    low, high = np.quantile(drawn, LEVELS)
    # The greatest difference among draws is never below none at all, so the bounds may lie beside the figure.
    return {name: Interval(value=value, low=min(float(low), value), high=max(float(high), value))}
