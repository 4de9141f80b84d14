"""Alerts and recorded series as code, and who is told. A component with alerts has `rules.py` with `groups()`.

Every alert has an owner, a severity, a page `docs/runbooks/<name>.md` and a unit test in `tests/rules/<folder>/`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import pulumi
import pulumi_kubernetes as kubernetes

from components._core import catalogue
from components._core.component import Component, labels
from components._core.contracts import AlertRouter, MetricsStore

__all__ = [
    "OBJECT",
    "OWNERS",
    "SEVERITIES",
    "Alert",
    "Group",
    "Owner",
    "Recording",
    "Severity",
    "matchers",
    "register_receiver",
    "register_rules",
    "rules_of_components",
]

Severity = Literal["critical", "warning", "info", "none"]
"""`critical`: act now. `warning`: act within days. `info`: worth knowing. `none`: fires always, on purpose."""

Owner = Literal["platform", "models", "audit"]
"""Who acts on an alert: those who run the platform, those who own the model, those who answer for conformity."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
OWNERS: tuple[Owner, ...] = get_args(Owner)

OBJECT = (
    "namespace",
    "node",
    "pod",
    "deployment",
    "statefulset",
    "job_name",
    "persistentvolumeclaim",
    "model",
    "version",
    "model_name",
    "model_version",
    "subject",
)
"""Labels that say what an alert is about. Two alerts that agree in all of them, also in what they lack, are about the
same object, and a critical one mutes a warning; what else they carry (`feature`, `container`) does not matter."""


@dataclass(frozen=True)
class Alert:
    """One alert."""

    name: str
    """PascalCase, unique in the platform; the same name with another severity is another stage of the same alert."""

    expression: str
    wait: str
    """How long the expression must hold: `0s`, `5m`."""

    severity: Severity
    summary: str
    """One sentence with the object in it; a template of Prometheus."""

    owner: Owner
    derived: bool = False
    """True where it also fires because its series are missing: TargetDown in the same namespace mutes it."""

    def rule(self) -> dict[str, Any]:
        """Return the rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.wait,
            "labels": {
                "severity": self.severity,
                "owner": self.owner,
                **({"derived": "true"} if self.derived else {}),
            },
            "annotations": {"summary": self.summary, "runbook": self.runbook},
        }

    @property
    def runbook(self) -> str:
        """Where it is written what to do, from the top of the repository."""
        return f"docs/runbooks/{self.name}.md"


@dataclass(frozen=True)
class Recording:
    """One series that is computed once and read by alerts and dashboards."""

    record: str
    """Name as `level:metric:operation`."""

    expression: pulumi.Input[str]
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self) -> dict[str, Any]:
        """Return the rule as Prometheus reads it."""
        return {
            "record": self.record,
            "expr": self.expression,
            **({"labels": dict(self.labels)} if self.labels else {}),
        }


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other, so that an alert may read a series recorded before it."""

    name: str
    """Unique in its component; the file of its unit tests is called after it."""

    rules: Sequence[Alert | Recording]
    interval: str | None = None
    """How often it is evaluated; None is as often as Prometheus scrapes. Long windows need no more than `1m`."""

    def spec(self) -> dict[str, Any]:
        """Return the group as Prometheus reads it."""
        return {
            "name": self.name,
            **({"interval": self.interval} if self.interval else {}),
            "rules": [rule.rule() for rule in self.rules],
        }

    @property
    def alerts(self) -> list[Alert]:
        """The alerts among the rules."""
        return [rule for rule in self.rules if isinstance(rule, Alert)]


def rules_of_components() -> dict[str, list[Group]]:
    """Return the groups of every component that has rules, as they are without an order form, by its folder."""
    return {
        folder: importlib.import_module(f"components.{folder}.rules").groups()
        for folder in catalogue.folders()
        if (catalogue.FOLDER / folder / "rules.py").exists()
    }


def register_rules(
    component: Component[Any],
    metrics: MetricsStore | None,
    groups: Sequence[Group],
    *,
    depends_on: Sequence[pulumi.Resource] = (),
) -> None:
    """Have a component's rules evaluated, where there is something that does: one PrometheusRule in its namespace.

    `depends_on` names what has to run before somebody is told that it does not.
    """
    if metrics is None:
        return
    kubernetes.apiextensions.CustomResource(
        f"{component.name}-rules",
        api_version="monitoring.coreos.com/v1",
        kind="PrometheusRule",
        metadata={
            "name": component.name,
            "namespace": component.name,
            "labels": {**labels(component.name), **metrics.selector},
        },
        spec={"groups": [group.spec() for group in groups]},
        opts=component.options(depends_on=[metrics.ready, *depends_on]),
    )


def register_receiver(
    component: Component[Any],
    router: AlertRouter | None,
    url: pulumi.Input[str],
    *,
    bearer_token: pulumi.Input[str] | None = None,
    owners: Sequence[Owner] = (),
    severities: Sequence[Severity] = ("critical", "warning"),
) -> None:
    """Have alerts posted to a program of the component, each on its own and at once; no owners means all of them.

    Route, address and token are put into the router's namespace: its operator reads no Secrets anywhere else.
    """
    if router is None:
        return
    metadata: Any = {
        "name": component.name,
        "namespace": router.namespace,
        "labels": {**labels(component.name), **router.selector},
    }
    secret = kubernetes.core.v1.Secret(
        f"{component.name}-receiver",
        metadata={**metadata, "name": f"{component.name}-receiver"},
        string_data={
            "url": pulumi.Output.secret(url),
            **({} if bearer_token is None else {"token": pulumi.Output.secret(bearer_token)}),
        },
        opts=component.options(depends_on=[router.ready]),
    )

    def key(name: str) -> dict[str, Any]:
        return {"name": secret.metadata.name, "key": name}

    webhook: dict[str, Any] = {"urlSecret": key("url"), "sendResolved": True}
    if bearer_token is not None:
        webhook["httpConfig"] = {"authorization": {"type": "Bearer", "credentials": key("token")}}
    kubernetes.apiextensions.CustomResource(
        f"{component.name}-receiver",
        api_version="monitoring.coreos.com/v1alpha1",
        kind="AlertmanagerConfig",
        metadata=metadata,
        spec={
            "receivers": [{"name": "webhook", "webhookConfigs": [webhook]}],
            "route": {
                "receiver": "webhook",
                # A program wants to know of each alert, and needs no time to read.
                "groupBy": ["..."],
                "groupWait": "1s",
                "groupInterval": "10s",
                "repeatInterval": "12h",
                "matchers": [
                    {"name": name, "matchType": "=~", "value": pattern}
                    for name, pattern in matchers(owners, severities).items()
                ],
            },
        },
        opts=component.options(depends_on=[router.ready]),
    )


def matchers(owners: Sequence[Owner], severities: Sequence[Severity]) -> dict[str, str]:
    """Return what the labels of an alert must match to be for these owners, with one of these severities."""
    return {
        **({"owner": "|".join(owners)} if owners else {}),
        "severity": "|".join(severities),
    }
