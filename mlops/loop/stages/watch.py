"""Stage `watch`: what is served is measured, and the figures are those that anybody computes from the same rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from mlops.loop import decisions, figures, waiting
from mlops.loop.context import Context
from mlops.loop.decisions import Decision
from mlops.loop.ledger import StageError
from mlops.loop.model_monitor import ModelMonitor

__all__ = ["check", "measured", "settled"]

STAGE = "watch"

LABELLED_SECONDS = 60.0
"""Within this time labels that were told are in the next measurement."""

SCRAPED_SECONDS = 120.0
"""A new monitor reaches Prometheus through a mounted Secret, which the kubelet refreshes about once a minute."""

TOLERANCE = 1e-9
"""Largest difference of two figures that are the same; sums are made in another order."""


def check(context: Context) -> None:
    """See that nothing is said before labels come; tell them; hold figures and metrics against our own."""
    if context.monitor is None or context.log is None:
        context.ledger.add(STAGE, 0.0, "no model monitor in this stack")
        return
    context.begun(STAGE)
    with context.ledger.stage(STAGE) as stage:
        monitor, given = context.monitor, context.decisions
        monitor.check()
        before = settled(context, lambda report: report["rows"] >= len(given), f"{len(given)} rows or more")
        context.ledger.same(
            STAGE, "labelled rows before any label", found=before["labelled_rows"], wanted=0, source=monitor.source
        )
        context.ledger.same(
            STAGE, "performance before any label", found=before["performance"], wanted={}, source=monitor.source
        )
        context.log.tell(decisions.truths(given, dt.datetime.now(dt.UTC).isoformat()))
        report = settled(context, lambda report: report["labelled_rows"] >= len(given), f"{len(given)} labelled rows")
        measured(context, monitor, report, given)
        _exported(context, report)
        accuracy = report["performance"]["accuracy"]
        stage.summary = (
            f"{report['rows']} rows, {report['labelled_rows']} labelled: accuracy {accuracy:.4f}, "
            f"drift in {_share(report['drift_share'])} of features"
        )


def settled(context: Context, enough: Callable[[dict[str, Any]], bool], wanted: str) -> dict[str, Any]:
    """Have the window measured until `enough` is in it; return the report."""
    assert context.monitor  # noqa: S101 (who asks has looked)
    monitor, registered = context.monitor, context.registered
    last: dict[str, Any] = {}

    def found() -> dict[str, Any] | None:
        nonlocal last
        last = monitor.measure(registered.name, registered.version) or {}
        return last if last and enough(last) else None

    report = waiting.until(found, LABELLED_SECONDS)
    if report is None:
        told = f"{last.get('rows', 0)} rows, {last.get('labelled_rows', 0)} labelled"
        reason = f"finds {told} of version {registered.version} after {LABELLED_SECONDS:.0f} s, wanted {wanted}"
        raise StageError(STAGE, monitor.source, reason)
    return report


def measured(context: Context, monitor: ModelMonitor, report: dict[str, Any], given: Sequence[Decision]) -> None:
    """Assert that a report says of the labelled decisions what we compute from them ourselves."""
    ledger, source = context.ledger, monitor.source
    ledger.same(STAGE, "labelled rows", found=report["labelled_rows"], wanted=len(given), source=source)
    ledger.that(
        STAGE,
        "rows of the reference profile",
        report["reference_rows"] > 0,
        found=report["reference_rows"],
        wanted="more than 0",
        source=source,
        reason=f"has no reference profile of version {context.registered.version}",
    )
    own = figures.performance(given)
    _same(
        context, {f"measured {name}": (report["performance"].get(name), value) for name, value in own.items()}, source
    )
    for attribute in context.sample.attributes:
        told = report["fairness"].get(attribute, {}).get("figures", {})
        # A group that is too small to say anything of is not compared there.
        if figures.RATIO in told:
            mine = figures.disparate_impact_ratio(given, attribute)
            _same(context, {f"disparate impact ratio of {attribute}": (told[figures.RATIO]["value"], mine)}, source)


def _exported(context: Context, report: dict[str, Any]) -> None:
    """Assert that Prometheus has the figures of the report, under the names that rules and dashboards use."""
    if context.prometheus is None:
        return
    prometheus, registered = context.prometheus, context.registered
    labels = f'model="{registered.name}",version="{registered.version}"'
    wanted = {f"model_window_labelled_rows{{{labels}}}": float(report["labelled_rows"])}
    wanted |= {
        f'model_performance{{{labels},metric="{name}"}}': float(value) for name, value in report["performance"].items()
    }
    found: dict[str, float | None] = {}

    def arrived() -> bool | None:
        for query in wanted:
            found[query] = next((sample.value for sample in prometheus.query(query)), None)
        return all(_close(found[query], value) for query, value in wanted.items()) or None

    if not waiting.until(arrived, SCRAPED_SECONDS):
        query = next(query for query, value in wanted.items() if not _close(found[query], value))
        reason = f"has {query} {found[query]} after {SCRAPED_SECONDS:.0f} s, the model monitor says {wanted[query]}"
        raise StageError(
            STAGE, f"Prometheus {prometheus.url}", reason, fix="kubectl -n model-monitor get servicemonitors"
        )
    context.ledger.same(
        STAGE, "figures in Prometheus", found=len(found), wanted=len(wanted), source=f"Prometheus {prometheus.url}"
    )


def _same(context: Context, pairs: dict[str, tuple[float | None, float]], source: str) -> None:
    for name, (found, wanted) in pairs.items():
        reason = f"has {name} {found}, computed from the same rows it is {wanted}"
        context.ledger.that(
            STAGE, name, _close(found, wanted), found=found, wanted=wanted, source=source, reason=reason
        )


def _close(found: float | None, wanted: float) -> bool:
    return found is not None and abs(found - wanted) <= TOLERANCE


def _share(value: float | None) -> str:
    return "(unknown)" if value is None else f"{value:.0%}"
