"""The few figures that the loop computes itself, from what it was answered and what it knows to be true.

Plain counting, written apart from the model monitor on purpose: two that agree are not wrong in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlops.loop.decisions import Decision

__all__ = ["RATIO", "approved", "disparate_impact_ratio", "performance"]

RATIO = "disparate_impact_ratio"

THRESHOLD = 0.5
"""More likely than not."""


def approved(decision: Decision) -> bool:
    """Tell whether an answer decides for the positive class: its last probability is above one half."""
    answer = decision.answer
    return bool((answer[-1] if isinstance(answer, list) else answer) > THRESHOLD)


def performance(decisions: Sequence[Decision]) -> dict[str, float]:
    """Return accuracy, precision and recall."""
    counts = Counter((approved(decision), decision.case.label == 1) for decision in decisions)
    right, positive = counts[True, True], counts[True, True] + counts[True, False]
    true = counts[True, True] + counts[False, True]
    return {
        "accuracy": (right + counts[False, False]) / len(decisions),
        **({"precision": right / positive} if positive else {}),
        **({"recall": right / true} if true else {}),
    }


def disparate_impact_ratio(decisions: Sequence[Decision], attribute: str) -> float:
    """Return the smallest share of positive decisions of a group over the largest; unknown groups do not count."""
    rows: Counter[str] = Counter()
    chosen: Counter[str] = Counter()
    for decision in decisions:
        if attribute in decision.case.attributes:
            group = str(decision.case.attributes[attribute])
            rows[group] += 1
            chosen[group] += approved(decision)
    shares = [chosen[group] / number for group, number in rows.items()]
    largest = max(shares, default=0.0)
    return min(shares) / largest if largest else 1.0
