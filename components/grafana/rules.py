"""Prices as series, so that money is computed where usage is, at the price of its time."""

from __future__ import annotations

from components._core.rules import Group, Recording
from components.grafana.config import Prices
from components.grafana.dashboards.cost import CORE_HOUR, GIB_HOUR

__all__ = ["groups"]


def groups(prices: Prices = Prices()) -> list[Group]:  # noqa: B008 (frozen)
    """Return the groups of the PrometheusRule."""
    currency = {"currency": prices.currency}
    return [
        Group(
            "prices",
            (
                Recording(CORE_HOUR, f"vector({prices.core_hour})", currency),
                Recording(GIB_HOUR, f"vector({prices.gib_hour})", currency),
            ),
        )
    ]
