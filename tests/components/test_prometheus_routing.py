"""Who is told of which alert: by a real Alertmanager, with what the order form says and what components add."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest

from components._core.rules import OBJECT, matchers
from components.prometheus import routing
from components.prometheus.config import PrometheusConfig
from tests.support.alertmanager import Alertmanager, Webhooks, hurried, running_alertmanager, until, webhooks
from tests.support.plans import planned


def settings(receivers: dict[str, Any]) -> str:
    """Return Alertmanager's configuration for what an order form says."""
    return routing.settings(PrometheusConfig.model_validate({"receivers": receivers}).receivers)


def alert(name: str, severity: str = "warning", owner: str = "platform", **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "owner": owner, **labels}


@pytest.fixture(scope="module")
def hooks() -> Iterator[Webhooks]:
    with webhooks() as found:
        yield found


@pytest.fixture(scope="module")
def router(hooks: Webhooks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    receivers = {
        "everybody": {"url": f"{hooks.url}/everybody"},
        "models-team": {"url": f"{hooks.url}/models", "owners": ["models"], "bearerToken": "of-models"},
        "pager": {"url": f"{hooks.url}/pager", "owners": ["platform", "audit"], "severities": ["critical"]},
        "dead-man": {"url": f"{hooks.url}/dead-man", "severities": ["none"]},
    }
    with running_alertmanager(hurried(settings(receivers)), tmp_path_factory.mktemp("alertmanager")) as found:
        yield found


@pytest.mark.backend
def test_alert_goes_to_its_owner_and_to_whoever_asked_for_all(router: Alertmanager, hooks: Webhooks) -> None:
    router.post(
        alert("OfModels", owner="models", namespace="models"),
        alert("OfPlatform", namespace="mlflow"),
        alert("Urgent", "critical", namespace="postgres"),
        alert("UrgentOfAudit", "critical", "audit"),
        alert("Curious", "info", namespace="mlflow"),
        alert("Watchdog", "none"),
    )
    assert router.receivers("OfModels") == {"everybody", "models-team"}
    assert router.receivers("OfPlatform") == {"everybody"}
    assert router.receivers("Urgent") == {"everybody", "pager"}
    assert router.receivers("UrgentOfAudit") == {"everybody", "pager"}
    assert router.receivers("Curious") == {routing.NOWHERE}
    assert router.receivers("Watchdog") == {"dead-man"}
    until(lambda: hooks.names("/everybody") >= {"OfModels", "OfPlatform", "Urgent", "UrgentOfAudit"}, "all arrive")
    until(lambda: hooks.names("/pager") == {"Urgent", "UrgentOfAudit"}, "the urgent ones arrive")
    until(lambda: hooks.names("/dead-man") == {"Watchdog"}, "the watchdog arrives")
    delivered = until(lambda: hooks.to("/models"), "the models' team is told")[0]
    assert delivered.authorization == "Bearer of-models"
    assert delivered.body["status"] == "firing"
    assert delivered.alerts == [alert("OfModels", owner="models", namespace="models")]
    assert {hook.authorization for hook in hooks.deliveries if hook.path != "/models"} == {None}


@pytest.mark.backend
def test_critical_alert_mutes_warnings_about_the_same_object(router: Alertmanager, hooks: Webhooks) -> None:
    statefulset = {"namespace": "postgres", "statefulset": "postgres"}
    router.post(alert("PostgresDown", "critical", **statefulset), alert("ModelSuspended", "critical", subject="loan"))
    until(lambda: hooks.names("/everybody") >= {"PostgresDown", "ModelSuspended"}, "they are known")
    router.post(
        alert("WorkloadUnavailable", **statefulset),
        alert("WorkloadUnavailable", namespace="postgres", deployment="other"),
        alert("AuditStale", owner="audit", subject="loan"),
        alert("AuditStale", owner="audit", subject="other"),
    )
    # Alerts of one name are told together, so that what is not beside its twin was left out.
    until(lambda: hooks.names("/everybody") >= {"WorkloadUnavailable", "AuditStale"}, "the others arrive")
    told = [labels for delivery in hooks.to("/everybody") for labels in delivery.alerts]
    assert alert("WorkloadUnavailable", namespace="postgres", deployment="other") in told
    assert alert("AuditStale", owner="audit", subject="other") in told
    assert alert("WorkloadUnavailable", **statefulset) not in told
    assert alert("AuditStale", owner="audit", subject="loan") not in told
    muted = {found["labels"]["alertname"] for found in router.alerts() if found["status"]["inhibitedBy"]}
    assert muted == {"WorkloadUnavailable", "AuditStale"}


@pytest.mark.backend
def test_alert_about_nothing_in_particular_mutes_nothing(router: Alertmanager, hooks: Webhooks) -> None:
    router.post(alert("StateMetricsMissing", "critical", job="kube-state-metrics"))
    until(lambda: "StateMetricsMissing" in hooks.names("/everybody"), "it is known")
    router.post(alert("RulesLate", rule_group="x"))
    until(lambda: "RulesLate" in hooks.names("/everybody"), "a warning without an object arrives too")


@pytest.mark.backend
def test_what_is_not_read_is_not_missed_as_well(router: Alertmanager, hooks: Webhooks) -> None:
    router.post(alert("TargetDown", namespace="model-monitor", job="model-monitor", pod="a", instance="b"))
    until(lambda: "TargetDown" in hooks.names("/everybody"), "it is known")
    router.post(
        alert("ModelMonitorStale", derived="true", namespace="model-monitor"),
        alert("ModelMonitorStale", derived="true", namespace="elsewhere"),
        alert("ModelMonitorStale", namespace="model-monitor", pod="x"),
    )
    until(lambda: len(_told(hooks, "ModelMonitorStale")) == 2, "the others arrive")
    assert {("derived" in labels, labels["namespace"]) for labels in _told(hooks, "ModelMonitorStale")} == {
        (True, "elsewhere"),
        (False, "model-monitor"),
    }


def _told(hooks: Webhooks, name: str) -> list[dict[str, str]]:
    found = [labels for delivery in hooks.to("/everybody") for labels in delivery.alerts]
    return [dict(pairs) for pairs in {tuple(labels.items()) for labels in found if labels["alertname"] == name}]


def test_alerts_go_nowhere_until_told() -> None:
    content = json.loads(settings({}))
    assert content["receivers"] == [{"name": content["route"]["receiver"]}]
    assert content["route"]["routes"] == []


def test_subjects_are_labels_of_objects() -> None:
    assert set(routing.SUBJECTS) <= set(OBJECT)


def test_owners_are_matched_only_when_they_are_named() -> None:
    assert matchers((), ("critical",)) == {"severity": "critical"}
    assert matchers(("models", "audit"), ("critical", "info")) == {
        "owner": "models|audit",
        "severity": "critical|info",
    }


@pytest.mark.parametrize(
    "receiver",
    [
        {"url": "pager"},
        {},
        {"url": "https://a.example", "owners": ["nobody"]},
        {"url": "https://a.example", "severities": []},
        {"url": "https://a.example", "severities": ["page"]},
    ],
)
def test_receiver_that_could_never_be_told_is_refused(receiver: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        PrometheusConfig.model_validate({"receivers": {"a": receiver}})


def test_token_is_shown_nowhere(tmp_path: Path) -> None:
    receiver = {"url": "https://a.example/hook", "bearerToken": "sesame"}
    config = PrometheusConfig.model_validate({"receivers": {"a": receiver}})
    assert "sesame" not in f"{config!r}{config}{config.model_dump_json()}"
    plan = planned(tmp_path, {"prometheus": {"receivers": {"a": receiver}}})
    assert "sesame" not in json.dumps(plan)
    assert plan.of("Secret", "alertmanager-config")["inputs"]["stringData"] == "[secret]"
