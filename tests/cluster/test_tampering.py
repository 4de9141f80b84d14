"""What watches is tampered with behind the platform's back: each time somebody is told, and of the right place."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlops.dash.prometheus import Prometheus
from tests.support.platform import Platform, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500), pytest.mark.usefixtures("closed")]


def now(source: Prometheus, expression: str) -> list[dict[str, Any]]:
    """Return the series that there are."""
    return source.now(expression, time.time())


@contextmanager
def relabelled(platform: Platform, monitor: str, namespace: str, rule: dict[str, Any]) -> Iterator[None]:
    """Have what a monitor reads written otherwise; afterwards `pulumi up` has repaired the monitor."""
    kind = monitor.partition("/")[0]
    endpoints = "podMetricsEndpoints" if kind == "podmonitor" else "endpoints"
    path = f"/spec/{endpoints}/0/metricRelabelings"
    before = platform.kubectl_json("get", monitor, "-n", namespace)["spec"][endpoints][0].get("metricRelabelings", [])
    patch = json.dumps([{"op": "add", "path": path, "value": [*before, rule]}])
    platform.kubectl("patch", monitor, "-n", namespace, "--type=json", "-p", patch)
    try:
        yield
    finally:
        platform.pulumi("up", "--yes", "--skip-preview")
    after = platform.kubectl_json("get", monitor, "-n", namespace)["spec"][endpoints][0].get("metricRelabelings", [])
    assert after == before


def test_a_label_that_is_dropped_is_noticed(platform: Platform, source: Prometheus) -> None:
    nameless = 'model_request_seconds_count{model_version=""}'
    rule = {"action": "labeldrop", "regex": "model_version"}
    with relabelled(platform, "podmonitor/predictors", "models", rule):
        platform.wait_for_monitors(lambda: bool(now(source, nameless)), what="Prometheus dropping the label")
        failed = platform.loop("--verify-only", check=False)
    assert failed["exitCode"] == 1
    assert failed["failure"]["stage"] == "monitoring"
    assert "Prometheus {}" in failed["failure"]["reason"]
    platform.wait_for_monitors(lambda: not now(source, nameless), what="Prometheus keeping the label again")
    assert platform.loop("--verify-only")["exitCode"] == 0


def test_a_metric_that_is_renamed_is_noticed(platform: Platform, source: Prometheus) -> None:
    renamed = "model_window_rows_that_were_labelled"
    rule = {
        "sourceLabels": ["__name__"],
        "regex": "model_window_labelled_rows",
        "targetLabel": "__name__",
        "replacement": renamed,
    }
    with relabelled(platform, "servicemonitor/model-monitor", "model-monitor", rule):
        platform.wait_for_monitors(lambda: bool(now(source, renamed)), what="Prometheus renaming the metric")
        failed = platform.loop(check=False)
    assert failed["exitCode"] == 1
    assert failed["failure"]["stage"] == "watch"
    assert "has model_window_labelled_rows{" in failed["failure"]["reason"]
    assert "None" in failed["failure"]["reason"]
    platform.wait_for_monitors(lambda: not now(source, renamed), what="Prometheus naming the metric as it is")


def test_a_threshold_that_was_edited_is_found_recorded_and_repaired(platform: Platform) -> None:
    name, namespace = "model-monitor", "model-monitor"
    spec = platform.kubectl_json("get", "prometheusrule", name, "-n", namespace)["spec"]
    group, number, rule = next(
        (i, j, rule)
        for i, group in enumerate(spec["groups"])
        for j, rule in enumerate(group["rules"])
        if rule.get("alert") == "ModelUnfair"
    )
    never = f"({rule['expr']}) and vector(0) > 1"
    patch = json.dumps([{"op": "replace", "path": f"/spec/groups/{group}/rules/{number}/expr", "value": never}])
    platform.kubectl("patch", "prometheusrule", name, "-n", namespace, "--type=json", "-p", patch)
    found = platform.mlops("evidence", "drift", "--stack", platform.stack, "--json", check=False)
    assert found.returncode == 1
    (item,) = json.loads(found.stdout)["drift"]["open"]["items"]
    assert item["object"].endswith(f"{namespace}/{name}")
    assert any("expr" in field for field in item["changed"]), item
    platform.pulumi("up", "--yes", "--skip-preview")
    assert platform.kubectl_json("get", "prometheusrule", name, "-n", namespace)["spec"] == spec
    closed = platform.mlops("evidence", "drift", "--stack", platform.stack, "--json")
    drift = json.loads(closed.stdout)["drift"]
    assert not drift["open"]["items"]
    assert [each["object"] for each in drift["resolved"]["items"]] == [item["object"]]


SUPERUSER = 'PGPASSWORD="$(cat /run/secrets/superuser/*)" exec psql -h 127.0.0.1 -U postgres -d cabc -At "$@"'


def sql(platform: Platform, statement: str) -> list[str]:
    """Run a statement as who may do anything to the auditor's database."""
    command = ["exec", "-n", "postgres", "postgres-0", "-c", "postgres", "--", "sh", "-c", SUPERUSER, "psql"]
    return platform.kubectl(*command, "-c", statement).stdout.split()


@pytest.fixture
def piece(platform: Platform) -> Iterator[str]:
    """Give the digest of a piece of evidence; it is there again afterwards."""
    digest, body = sql(
        platform, "SELECT digest, encode(body, 'base64') FROM evidence ORDER BY length(body), digest LIMIT 1"
    )[0].split("|")
    yield digest
    kept = base64.b64decode(body).hex()
    sql(platform, f"INSERT INTO evidence VALUES ('{digest}', '\\x{kept}') ON CONFLICT DO NOTHING")  # noqa: S608 (digits)


def verified(platform: Platform, name: str) -> str:
    """Run the Job that verifies the whole record, and return which of its conditions became true."""
    platform.kubectl("create", "job", name, "-n", "cabc-auditor", "--from=cronjob/cabc-auditor-verify")
    ended: list[str] = []

    def done() -> bool:
        job = platform.kubectl_json("get", "job", name, "-n", "cabc-auditor")
        ended[:] = [each["type"] for each in job["status"].get("conditions", []) if each["status"] == "True"]
        return bool({"Complete", "Failed"} & set(ended))

    wait_for(done, seconds=300, what=f"the end of job {name}")
    return "Failed" if "Failed" in ended else "Complete"


def test_a_piece_of_evidence_that_was_deleted_is_noticed(platform: Platform, source: Prometheus, piece: str) -> None:
    assert verified(platform, "cabc-auditor-verify-before") == "Complete"
    sql(platform, f"DELETE FROM evidence WHERE digest = '{piece}'")  # noqa: S608 (a digest)
    try:
        assert verified(platform, "cabc-auditor-verify-after") == "Failed"
        log = platform.kubectl("logs", "job/cabc-auditor-verify-after", "-n", "cabc-auditor").stdout
        assert piece in log
        alert = 'ALERTS{alertname="AuditRecordBroken",alertstate="firing"}'
        wait_for(lambda: bool(now(source, alert)), seconds=120, what="alert AuditRecordBroken")
    finally:
        for name in ("before", "after"):
            platform.kubectl("delete", "job", f"cabc-auditor-verify-{name}", "-n", "cabc-auditor", "--wait=true")
