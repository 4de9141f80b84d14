"""Which metrics there are: said by whoever makes or keeps them, so that a renamed one is noticed here."""

from __future__ import annotations

import ast
import datetime as dt
import re
from typing import Any, cast

from cabc.service.metrics import Metrics

from components._core import paths
from components._core.rules import Recording, rules_of_components
from components.prometheus import scraping

__all__ = ["exists", "known"]

ENDINGS = ("_total", "_bucket", "_count", "_sum")
"""What a client adds to the name of a counter or a histogram."""

RUNTIME = paths.CHECKOUT / "images" / "python" / "platform_runtime"

UPSTREAM = {
    # Prometheus itself, for every target and every alert.
    "up",
    "scrape_duration_seconds",
    "ALERTS",
    # Alertmanager and MLflow (through prometheus-flask-exporter) on their pages; Prometheus' own are asked for.
    "alertmanager_notifications_failed_total",
    "mlflow_http_request_total",
    "mlflow_http_request_duration_seconds",
}


def known() -> set[str]:
    """Return every name that the platform's own code says, and those of programs of others that we rely on."""
    found = {*scraping.CONTAINERS, *scraping.DISKS, *scraping.KUBELET, *scraping.STATE_METRICS, *UPSTREAM}
    for groups in rules_of_components().values():
        found |= {rule.record for group in groups for rule in group.rules if isinstance(rule, Recording)}
    auditor = Metrics(cast("Any", None), list, lambda: dt.datetime.now(dt.UTC))
    found |= {family.name for family in auditor.registry.collect()}
    for file in ("serve.py", "event_sender.py", "prediction_log/metrics.py", "model_monitor/exposition.py"):
        found |= texts(file)
    return found | {f"conformity_gate_{text}" for text in texts("conformity_gate/metrics.py")}


def texts(file: str) -> set[str]:
    """Return the texts in a module of the image, whose environment is not this one; names of metrics are among them."""
    tree = ast.walk(ast.parse((RUNTIME / file).read_text()))
    found = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text.removeprefix("conformity_gate_") for text in found if re.fullmatch(r"[a-z][a-z0-9_]*", text)}


def exists(name: str, among: set[str]) -> bool:
    """Tell whether a name is known, as it is or without what a client adds."""
    return name in among or any(name.endswith(end) and name.removesuffix(end) in among for end in ENDINGS)
