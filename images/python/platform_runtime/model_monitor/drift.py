"""Has a feature moved? One score per feature with a threshold that chance does not reach.

| feature | fewer than SMALL rows in window or reference | more |
|---|---|---|
| numbers | Kolmogorov-Smirnov: uses order, needs no full bins | PSI in ten bins of equal weight: says how much |
| categories, classes | Jensen-Shannon distance | Jensen-Shannon distance |

A threshold is the larger of two: what matters in practice, and what samples of these sizes reach by chance in less than
one of a hundred windows over all features together. Large windows are not called drifted for what nobody would care
about, small ones not for what is only luck.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pydantic
from scipy.spatial import distance
from scipy.stats import chi2, kstwo

from platform_runtime.model_monitor.reference import Category, Opaque
from platform_runtime.model_monitor.sketch import AnySketch

__all__ = ["CHANCE", "SMALL", "Drift", "Thresholds", "equal_weights", "jensen_shannon", "judge", "ks", "psi"]

Counts = np.ndarray[Any, np.dtype[np.int64]]
Method = Literal["ks", "psi", "jensenshannon"]

SMALL = 1000
BINS = 10

CHANCE = 0.01
"""Probability that a window of the same rows as the reference has any feature called drifted."""

EMPTY = 1e-4
"""Share that stands for an empty bin in PSI, as in evidently; an empty bin would make it infinite."""


class Thresholds(pydantic.BaseModel):
    """What matters in practice."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    ks: float = 0.1
    psi: float = 0.2
    jensenshannon: float = 0.1

    def of(self, method: Method) -> float:
        """Return the threshold of one method."""
        return {"ks": self.ks, "psi": self.psi, "jensenshannon": self.jensenshannon}[method]


@dataclass(frozen=True)
class Drift:
    """What was found for one feature."""

    method: Method
    score: float
    threshold: float
    rows: int
    """Values in the window that the score is made from."""

    reference_rows: int

    @property
    def detected(self) -> bool:
        """Tell whether the feature has moved."""
        return self.score > self.threshold


def judge(sketch: AnySketch, thresholds: Thresholds, features: int) -> Drift | None:
    """Compare a feature's window with its profile; None where one of them has no values.

    `features` is how many are judged together: each has its share of what may happen by chance.
    """
    reference = sketch.reference
    if isinstance(reference, Opaque):
        return None
    before, now = np.array(reference.counts), sketch.counts
    sizes = int(before.sum()), int(now.sum())
    if not all(sizes):
        return None
    chance = CHANCE / features
    spread = 1 / sizes[0] + 1 / sizes[1]
    method: Method
    if isinstance(reference, Category):
        method, score = "jensenshannon", jensen_shannon(before, now)
        # For small differences the divergence is an eighth of the statistic of Pearson.
        by_chance = float(np.sqrt(spread * _pearson(before, now, chance) / 8))
    elif min(sizes) < SMALL:
        method, score = "ks", ks(before, now)
        by_chance = float(kstwo.isf(chance, max(1, round(1 / spread))))
    else:
        merged = equal_weights(before, now)
        method, score = "psi", psi(*merged)
        by_chance = spread * _pearson(*merged, chance)
    return Drift(method, score, max(thresholds.of(method), by_chance), rows=sizes[1], reference_rows=sizes[0])


def psi(before: Counts, now: Counts) -> float:
    """Return the population stability index of two counts of the same bins."""
    shares = [np.where(counts > 0, counts / counts.sum(), EMPTY) for counts in (before, now)]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


def jensen_shannon(before: Counts, now: Counts) -> float:
    """Return the Jensen-Shannon distance of two counts of the same bins, from 0 to 0.83 (natural logarithm)."""
    return float(np.nan_to_num(distance.jensenshannon(before / before.sum(), now / now.sum())))


def ks(before: Counts, now: Counts) -> float:
    """Return the greatest distance of the two distributions at the edges of the bins: never more than the real one."""
    return float(np.abs(np.cumsum(before) / before.sum() - np.cumsum(now) / now.sum()).max())


def equal_weights(before: Counts, now: Counts, bins: int = BINS) -> tuple[Counts, Counts]:
    """Join neighbouring bins until each has about the same share of the reference, and none is empty there."""
    upto = np.cumsum(before) / before.sum()
    number = np.clip(np.ceil(np.round(upto * bins, 9)).astype(np.int64) - 1, 0, bins - 1)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    return np.add.reduceat(before, starts), np.add.reduceat(now, starts)


def _pearson(before: Counts, now: Counts, chance: float) -> float:
    """Return what Pearson's statistic of so many bins exceeds with probability `chance`."""
    filled = int(((before + now) > 0).sum())
    return float(chi2.isf(chance, max(1, filled - 1)))
