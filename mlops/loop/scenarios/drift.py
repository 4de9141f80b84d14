"""Scenario `drift`: the model is asked about other cases than it was made for; an alert says so to who has to know.

That labels come late is a part of it: the loop's stage `watch` sees that no performance is claimed before they came.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from mlops.loop import decisions, waiting
from mlops.loop.context import Context
from mlops.loop.decisions import Case, Row
from mlops.loop.ledger import StageError
from mlops.loop.scenarios.play import Play
from mlops.loop.stages import log, watch

__all__ = ["ALERT", "run", "shifted"]

ALERT = "FeatureDrift"
"""Of the model monitor's rules."""

TIMES = 3
"""How often all held-out rows are asked about, shifted: more rows than the window has from before."""

ALERT_SECONDS = 420.0
"""Measured once a minute, scraped, held for a minute, evaluated, grouped: within this time the alert fires."""

RECEIVED_SECONDS = 240.0
"""Within this time Alertmanager has told the auditor, and that has assessed."""


def run(play: Play) -> None:
    """Serve and watch a good model; ask it about shifted cases; follow that to metric, alert, receiver and status."""
    good = play.good()
    play.needs(good, "prediction log", "model monitor", "metrics store")
    assert good.monitoring  # noqa: S101 (the scenario needs it)
    # By the cluster's clock, as what the auditor receives is; shifted rows can raise the alert while they are asked.
    began = dt.datetime.fromtimestamp(good.monitoring.now(), dt.UTC)
    _asked(play, good)
    _measured(play, good)
    _alerted(play, good)
    _received(play, good, began)


def shifted(cases: Sequence[Case]) -> Callable[[Row], Row]:
    """Return what another unit and a turned-round flag make of a row: numbers times three, flags the other way."""
    flags = {name for name in cases[0].features if {case.features[name] for case in cases} <= {0.0, 1.0}}

    def change(row: Row) -> Row:
        return {name: 1.0 - value if name in flags else 3.0 * value for name, value in row.items()}

    return change


def _asked(play: Play, context: Context) -> None:
    with play.ledger.stage("drifted") as stage:
        cases = decisions.held_out(context.registry, context.registered, context.sample)
        change = shifted(cases)
        given = [
            decision
            for _ in range(TIMES)
            for decision in decisions.ask(context.serving, context.registered, cases, stage="drifted", change=change)
        ]
        logged = log.compare(context, given)
        stage.summary = f"{len(given)} shifted rows in {logged} requests, all in the log"


def _measured(play: Play, context: Context) -> None:
    assert context.monitor  # noqa: S101 (the scenario needs it)
    with play.ledger.stage(watch.STAGE) as stage:
        report = watch.settled(context, lambda found: (found["drift_share"] or 0.0) > 0.0, "drift in some feature")
        drifted = [each["name"] for each in report["features"] if each["drift"] and each["drift"]["detected"]]
        play.ledger.that(
            watch.STAGE,
            "drifted features",
            bool(drifted),
            found=drifted,
            wanted="one or more",
            source=context.monitor.source,
        )
        play.record["drift"] = {"features": drifted, "share": report["drift_share"]}
        stage.summary = f"drift in {len(drifted)} of {len(report['features'])} features, by {report['rows']} rows"


def _alerted(play: Play, context: Context) -> None:
    """Assert that Prometheus fires the alert and Alertmanager has it, with what routes and people go by."""
    assert context.prometheus  # noqa: S101 (the scenario needs it)
    prometheus, registered = context.prometheus, context.registered
    wanted = {"alertname": ALERT, "model": registered.name, "version": registered.version}
    selector = ",".join(f'{name}="{value}"' for name, value in wanted.items())
    with play.ledger.stage("alert") as stage:

        def fires() -> list[Any] | None:
            return prometheus.query(f'ALERTS{{{selector},alertstate="firing"}}') or None

        firing = waiting.until(fires, ALERT_SECONDS, pause=5.0)
        source = f"Prometheus {prometheus.url}"
        if not firing:
            pending = prometheus.query(f'ALERTS{{{selector},alertstate="pending"}}')
            state = "is pending" if pending else "is not even pending: its query finds nothing"
            raise StageError("alert", source, f"does not fire {ALERT} after {ALERT_SECONDS:.0f} s: it {state}")
        labels = firing[0].labels
        for name, value in (*wanted.items(), ("severity", "warning"), ("owner", "models")):
            play.ledger.same("alert", f"label {name}", found=labels.get(name), wanted=value, source=source)
        arrived: list[dict[str, Any]] = []
        if context.alerts:
            alertmanager = context.alerts
            arrived = waiting.until(lambda: alertmanager.firing(**wanted) or None, RECEIVED_SECONDS) or []
            play.ledger.that(
                "alert",
                "alerts that reached Alertmanager",
                bool(arrived),
                found=len(arrived),
                wanted="one or more",
                source=alertmanager.source,
                reason=f"has no alert {selector}",
            )
        receivers = _receivers(arrived)
        play.record["alert"] = {"labels": dict(labels), "receivers": receivers}
        stage.summary = f"{ALERT} fires for {len(firing)} features; receivers {', '.join(receivers) or '(none)'}"


def _received(play: Play, context: Context, began: dt.datetime) -> None:
    """Assert that the auditor heard of it by way of Alertmanager, and what it made of it."""
    if context.auditor is None or context.alerts is None:
        play.ledger.add("receiver", 0.0, "no auditor that Alertmanager could tell in this stack")
        return
    auditor, name = context.auditor, context.sample.model
    with play.ledger.stage("receiver") as stage:

        def caused() -> dict[str, Any] | None:
            for each in auditor.assessments(name, limit=50):
                trigger = each["trigger"]
                late = dt.datetime.fromisoformat(trigger["received"]) >= began
                if trigger["kind"] == "webhook" and trigger["source"] == "alerts" and late:
                    return each
            return None

        found = waiting.until(caused, RECEIVED_SECONDS, pause=2.0)
        if found is None:
            reason = f"was not assessed because of an alert within {RECEIVED_SECONDS:.0f} s"
            raise StageError("receiver", auditor.subject_of(name), reason, fix="kubectl get alertmanagerconfigs -A")
        status = (auditor.subject(name) or {}).get("status")
        play.ledger.that(
            "receiver",
            "status after the alert",
            status != "conformant",
            found=status,
            wanted="not conformant: requirement robust fails",
            source=auditor.subject_of(name),
        )
        play.record |= {"assessment": found["id"], "status": status}
        play.model_exit_code = 1
        stage.summary = f"assessment {found['id']} by webhook {found['trigger']['source']}: {status}"


def _receivers(alerts: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({receiver["name"] for alert in alerts for receiver in alert.get("receivers", [])})
