"""Whether models answer as they should, and whether KServe can deploy them.

An objective says which share of requests must be good, and so which share may be bad: the budget. Alerts fire by how
many times too fast it is used up, over a long window, so that it matters, and a short one, so that they end in time.
"""

from __future__ import annotations

import math

import pulumi

from components._core.rules import Alert, Group, Recording
from components.kserve.config import LATENCIES, KserveConfig, Objectives

__all__ = ["WINDOWS", "certificate", "groups"]

WINDOWS = ("5m", "30m", "1h", "6h", "3d")

MODEL = "namespace, model_name, model_version"

COUNT = "model_request_seconds_count"

OWN = 'outcome!="refused"'
"""Requests that the model is answerable for: one that is no valid request fails nobody's objective."""

CONTROLLER = 'job="kserve/controller"'

EXPIRY = "kserve:webhook_certificate_expiry:timestamp_seconds"

MONTH = 30 * 24 * 3600


def groups(config: KserveConfig | None = None) -> list[Group]:
    """Return what holds for models that are served, and for the controller; without a config, with its defaults."""
    config = config or KserveConfig()
    return [
        # Before the alerts that read them; three days need not be counted anew every ten seconds.
        Group("serving-windows", _windows(config.objectives), interval="30s"),
        Group("serving", [*_budgets(config.objectives), _unwatched(config.namespace)]),
        Group("controller", _controller()),
    ]


def certificate(expires: pulumi.Output[float]) -> Group:
    """Return the series of when the webhook's certificate expires: no program tells, but we made it."""
    expression = expires.apply(lambda seconds: f"vector({seconds})")
    return Group("certificate", [Recording(EXPIRY, expression, {"namespace": "kserve"})], interval="1m")


def _windows(objectives: Objectives) -> list[Recording]:
    le = str(LATENCIES[objectives.within])
    found = []
    for window in WINDOWS:
        own = f"sum by ({MODEL}) (rate({COUNT}{{{OWN}}}[{window}]))"
        failed = f'sum by ({MODEL}) (rate({COUNT}{{outcome="failed"}}[{window}]))'
        answered = f'sum by ({MODEL}) (rate({COUNT}{{outcome="answered"}}[{window}]))'
        quick = f'sum by ({MODEL}) (rate(model_request_seconds_bucket{{outcome="answered",le="{le}"}}[{window}]))'
        found += [
            Recording(f"model:requests:increase{window}", f"sum by ({MODEL}) (increase({COUNT}{{{OWN}}}[{window}]))"),
            # A model that never failed has no series of failures.
            Recording(f"model:request_failures:ratio_rate{window}", f"({failed} or 0 * {own}) / {own}"),
            Recording(f"model:request_delays:ratio_rate{window}", f"1 - {quick} / {answered}"),
        ]
    return found


def _budgets(objectives: Objectives) -> list[Alert]:
    model = "Model {{ $labels.model_name }} version {{ $labels.model_version }}"
    share = "{{ $value | humanizePercentage }} of its requests"
    fails = f"{model} fails {share}; at most {_percent(1 - objectives.availability)} may fail."
    slow = (
        f"{model} takes longer than {objectives.within} for {share};"
        f" at most {_percent(1 - objectives.latency)} may take longer."
    )
    return [
        *_burning("ModelFailsRequests", "failures", 1 - objectives.availability, fails),
        *_burning("ModelAnswersLate", "delays", 1 - objectives.latency, slow),
    ]


def _burning(name: str, what: str, budget: float, summary: str) -> list[Alert]:
    """Return the two stages of one alert: a budget of 30 days that is gone within two or five days, or by its end."""

    def over(times: float, long: str, short: str) -> str:
        limit = f"{times * budget:.6g}"
        # With fewer requests a single bad one would be more than the budget.
        enough = f"model:requests:increase{long} >= {math.ceil(round(1 / budget, 6))}"
        return (
            f"(model:request_{what}:ratio_rate{long} > {limit}"
            f" and model:request_{what}:ratio_rate{short} > {limit} and {enough})"
        )

    fast = f"{over(14.4, '1h', '5m')} or {over(6, '6h', '30m')}"
    return [
        Alert(name, fast, "1m", "critical", summary, "models"),
        Alert(name, over(1, "3d", "6h"), "15m", "warning", summary, "models"),
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.6g} %"


def _unwatched(namespace: str) -> Alert:
    ready = f'kube_pod_status_ready{{condition="true",namespace="{namespace}",pod=~".+-predictor-.+"}} == 1'
    return Alert(
        "ModelUnwatched",
        f"max by (namespace, pod) ({ready}) unless on (namespace, pod) up",
        "5m",
        "warning",
        "Nobody reads the metrics of {{ $labels.namespace }}/{{ $labels.pod }}: no alert about its model can fire.",
        "platform",
    )


def _controller() -> list[Alert]:
    return [
        Alert(
            "KserveDown",
            "max by (namespace, deployment) (kube_deployment_status_replicas_available"
            '{namespace="kserve",deployment="kserve-controller-manager"}) < 1',
            "2m",
            "critical",
            "KServe's controller is down: no model can be deployed and no pod of a model can start.",
            "platform",
        ),
        Alert(
            "KserveUnwatched",
            f"absent(up{{{CONTROLLER}}})",
            "5m",
            "warning",
            "Nobody reads the metrics of KServe's controller: no alert about what it does can fire.",
            "platform",
        ),
        Alert(
            "KserveReconcileErrors",
            f"sum by (namespace, controller) (rate(controller_runtime_reconcile_errors_total{{{CONTROLLER}}}[10m]))"
            f" / sum by (namespace, controller) (rate(controller_runtime_reconcile_total{{{CONTROLLER}}}[10m])) > 0.5",
            "15m",
            "warning",
            "KServe's {{ $labels.controller }} controller fails in {{ $value | humanizePercentage }} of its attempts.",
            "platform",
        ),
        Alert(
            "KserveWebhookErrors",
            "sum by (namespace, webhook)"
            f' (increase(controller_runtime_webhook_requests_total{{{CONTROLLER},code=~"5.."}}[5m])) > 0',
            "1m",
            "critical",
            "KServe's webhook {{ $labels.webhook }} fails: objects that it must admit are refused.",
            "platform",
        ),
        Alert(
            "WebhookCertificateExpiring",
            f"max by (namespace) ({EXPIRY}) - time() < {MONTH}",
            "1h",
            "warning",
            "The certificate of KServe's webhooks is valid for {{ $value | humanizeDuration }} more;"
            " after that no model can be deployed.",
            "platform",
        ),
    ]
