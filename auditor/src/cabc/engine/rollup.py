"""From the verdicts of leaves to those of metrics, requirements, dimensions and the document.

`not-satisfied` absorbs all others. Error, stale and review never count as satisfied. Where nothing is satisfied,
nothing is: an empty metric or requirement is `not-evaluated`, never satisfied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from cabc.document.model import AtLeast, Metric, Weighted
from cabc.record.types import Verdict

__all__ = ["FAILING", "combine", "metric_verdict", "worst"]

_RANK = {
    Verdict.NOT_SATISFIED: 5,
    Verdict.ERROR: 4,
    Verdict.NEEDS_REVIEW: 3,
    Verdict.NOT_EVALUATED: 2,
    Verdict.SATISFIED: 1,
    Verdict.NOT_APPLICABLE: 0,
}

FAILING = frozenset({Verdict.NOT_SATISFIED, Verdict.ERROR, Verdict.NEEDS_REVIEW, Verdict.NOT_EVALUATED})
"""Verdicts that keep a requirement from being satisfied."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that absorbs the others; `not-evaluated` for none at all."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.NOT_EVALUATED)


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of parts that must all hold: what does not apply is left out unless nothing applies."""
    found = list(verdicts)
    applying = [verdict for verdict in found if verdict is not Verdict.NOT_APPLICABLE]
    if found and not applying:
        return Verdict.NOT_APPLICABLE
    return worst(applying)


def metric_verdict(metric: Metric, verdicts: Mapping[str, Verdict]) -> Verdict:
    """Return the verdict of a metric from those of its measurements by their ids.

    A measurement that is not critical and not satisfied is reported and left out here.
    """
    critical = {measurement.id: measurement.critical for measurement in metric.measurements}
    applying = {id_: verdict for id_, verdict in verdicts.items() if verdict is not Verdict.NOT_APPLICABLE}
    if verdicts and not applying:
        return Verdict.NOT_APPLICABLE
    counted = {
        id_: verdict for id_, verdict in applying.items() if critical.get(id_, True) or verdict is Verdict.SATISFIED
    }
    if Verdict.SATISFIED not in counted.values():
        return worst(counted.values())
    if metric.aggregate == "all":
        return worst(counted.values())
    if metric.aggregate == "any" or _reached(metric.aggregate, counted):
        return Verdict.SATISFIED
    failing = [verdict for verdict in counted.values() if verdict is not Verdict.SATISFIED]
    return worst(failing) if failing else Verdict.NOT_SATISFIED


def _reached(aggregate: AtLeast | Weighted | str, counted: Mapping[str, Verdict]) -> bool:
    satisfied = [id_ for id_, verdict in counted.items() if verdict is Verdict.SATISFIED]
    if isinstance(aggregate, AtLeast):
        return len(satisfied) >= aggregate.at_least
    if isinstance(aggregate, Weighted):
        return _weight(aggregate, satisfied) >= Decimal(repr(aggregate.min)) * _weight(aggregate, list(counted))
    return False


def _weight(aggregate: Weighted, ids: Sequence[str]) -> Decimal:
    """Sum in decimals, so that a share of exactly `min` reaches it; an id without a weight weighs 1."""
    return sum((Decimal(repr(aggregate.weights.get(id_, 1.0))) for id_ in ids), Decimal(0))
