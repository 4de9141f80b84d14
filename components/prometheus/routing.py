"""Who is told of which alert, and which alerts go without saying: the configuration of Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components._core.rules import OBJECT, matchers
from components.prometheus.config import Receiver

__all__ = ["settings"]

NOWHERE = "(nowhere)"
"""Who gets what nobody asked for; no name in an order form can be this one."""

SUBJECTS = ("namespace", "node", "model", "model_name", "subject")
"""An alert that has none of these labels is about nothing in particular and mutes nothing."""


def settings(receivers: Mapping[str, Receiver]) -> str:
    """Return alertmanager.yaml, here JSON. It holds the receivers' secrets.

    What AlertmanagerConfigs add comes before the routes here and does not end the search for more.
    """
    return json.dumps(
        {
            "route": {
                "receiver": NOWHERE,
                "group_by": ["alertname", "namespace"],
                "group_wait": "10s",
                "group_interval": "1m",
                "repeat_interval": "12h",
                "routes": [_route(name, receiver) for name, receiver in receivers.items()],
            },
            "receivers": [
                {"name": NOWHERE},
                *({"name": name, "webhook_configs": [_webhook(found)]} for name, found in receivers.items()),
            ],
            "inhibit_rules": _inhibitions(),
        },
        indent=1,
    )


def _route(name: str, receiver: Receiver) -> dict[str, Any]:
    wanted = matchers(receiver.owners, receiver.severities)
    route: dict[str, Any] = {
        "receiver": name,
        "matchers": [f'{label}=~"{pattern}"' for label, pattern in wanted.items()],
        "continue": True,
    }
    if "none" in receiver.severities:
        # Whoever waits for the watchdog concludes from its absence, soon.
        route["routes"] = [{"matchers": ['severity="none"'], "group_wait": "0s", "repeat_interval": "5m"}]
    return route


def _webhook(receiver: Receiver) -> dict[str, Any]:
    webhook: dict[str, Any] = {"url": receiver.url, "send_resolved": True}
    if receiver.bearer_token is not None:
        credentials = receiver.bearer_token.get_secret_value()
        webhook["http_config"] = {"authorization": {"type": "Bearer", "credentials": credentials}}
    return webhook


def _inhibitions() -> list[dict[str, Any]]:
    critical_over_warning = [
        {
            "source_matchers": ['severity="critical"', f'{label}!=""'],
            "target_matchers": ['severity="warning"'],
            "equal": list(OBJECT),
        }
        for label in SUBJECTS
    ]
    return [
        *critical_over_warning,
        # What is not read is missing everywhere else too.
        {
            "source_matchers": ['alertname="TargetDown"', 'namespace!=""'],
            "target_matchers": ['derived="true"'],
            "equal": ["namespace"],
        },
    ]
