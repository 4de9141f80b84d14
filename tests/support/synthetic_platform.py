"""A platform as Prometheus would have seen it: every series that a panel asks for, made up, in a real Prometheus."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from components._core.rules import rules_of_components

__all__ = ["end_of", "promtool", "running", "series"]

STEP = 30
HOURS = 2

Shape = Callable[[float], float]
"""Value by the seconds since the story began."""

BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "+Inf")


def flat(value: float) -> Shape:
    return lambda _: value


def wave(middle: float, swing: float, period: float = 1800) -> Shape:
    return lambda t: middle + swing * math.sin(2 * math.pi * t / period)


def rising(per_second: float) -> Shape:
    return lambda t: 10 + per_second * t


def ramp(start: float, end: float) -> Shape:
    return lambda t: start + (end - start) * t / (HOURS * 3600)


MODEL = {"model": "loan-approval", "version": "3"}


class Story(dict[str, list[tuple[Mapping[str, str], Shape]]]):
    """Labels and shape of every series, by metric."""

    def add(self, name: str, shape: Shape, **labels: str) -> None:
        self.setdefault(name, []).append((labels, shape))

    def histogram(self, name: str, per_second: float, **labels: str) -> None:
        for place, bound in enumerate(BUCKETS):
            share = min(1.0, 0.35 + 0.09 * place)
            self.add(f"{name}_bucket", rising(per_second * share), le=bound, **labels)
        self.add(f"{name}_count", rising(per_second), **labels)
        self.add(f"{name}_sum", rising(per_second * 0.04), **labels)


def series() -> Story:
    """Return the whole story."""
    story = Story()
    for part in (workloads, watching, serving, quality, fairness, tracking, audit):
        part(story)
    return story


def workloads(story: Story) -> None:
    pods = {
        "mlflow": ("mlflow-7d9", "mlflow", 0.4, 0.05),
        "postgres": ("postgres-0", "postgres", 0.1, 0.02),
        "prometheus": ("prometheus-platform-0", "prometheus", 0.3, 0.03),
        "kserve": ("kserve-controller-5c", "manager", 0.05, 0.01),
        "prediction-log": ("prediction-log-0", "prediction-log", 0.12, 0.04),
        "cabc-auditor": ("cabc-auditor-6b", "server", 0.15, 0.02),
        "models": ("loan-approval-predictor-88f", "kserve-container", 0.35, 0.3),
        "pipelines": ("loan-approval-train-x2k", "run", 0.7, 0.8),
    }
    for place, (namespace, (pod, container, gib, cores)) in enumerate(pods.items()):
        who = {"namespace": namespace, "pod": pod}
        inner = {**who, "container": container}
        story.add(
            "up", flat(0.0 if namespace == "kserve" else 1.0), job=namespace, instance=f"10.0.0.{place}:8080", **who
        )
        story.add(
            "scrape_duration_seconds", wave(0.01 * (place + 1), 0.003), job=namespace, instance=f"10.0.0.{place}", **who
        )
        story.add("container_cpu_usage_seconds_total", rising(cores), cpu="total", **inner)
        story.add("container_cpu_cfs_periods_total", rising(10), **inner)
        story.add("container_cpu_cfs_throttled_periods_total", rising(3 * cores), **inner)
        story.add("container_memory_working_set_bytes", wave(gib * 2**30, gib * 2**26), **inner)
        for kind, factor in (("requests", 1.3), ("limits", 2.5 if namespace != "pipelines" else 1.05)):
            name = f"kube_pod_container_resource_{kind}"
            story.add(name, flat(gib * 2**30 * factor), resource="memory", unit="byte", **inner)
            story.add(name, flat(cores * factor), resource="cpu", unit="core", **inner)
        for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
            story.add("kube_pod_status_phase", flat(float(phase == "Running")), phase=phase, **who)
        story.add("kube_pod_container_status_restarts_total", flat(1.0), **inner)
        story.add("kube_deployment_spec_replicas", flat(1.0), namespace=namespace, deployment=namespace)
        story.add("kube_deployment_status_replicas_available", flat(1.0), namespace=namespace, deployment=namespace)
    story.add("kube_statefulset_replicas", flat(1.0), namespace="postgres", statefulset="postgres")
    story.add("kube_statefulset_status_replicas_ready", flat(1.0), namespace="postgres", statefulset="postgres")
    story.add("kube_job_failed", flat(1.0), namespace="pipelines", job_name="loan-approval-old", condition="true")
    for volume, left in {("postgres", "data"): 0.55, ("prometheus", "prometheus-db"): 0.12}.items():
        where = {"namespace": volume[0], "persistentvolumeclaim": volume[1]}
        story.add("kubelet_volume_stats_capacity_bytes", flat(5 * 2**30), **where)
        story.add("kubelet_volume_stats_available_bytes", ramp(5 * 2**30, 5 * 2**30 * left), **where)


def watching(story: Story) -> None:
    story.add("container_fs_limit_bytes", flat(80e9), node="node-1", device="/dev/sda1")
    story.add("container_fs_usage_bytes", ramp(50e9, 61e9), node="node-1", device="/dev/sda1")
    story.add("prometheus_tsdb_head_series", ramp(9000, 14500), job="prometheus")
    story.add("prometheus_tsdb_head_samples_appended_total", rising(900), job="prometheus")
    story.add("prometheus_rule_evaluation_failures_total", flat(0), job="prometheus", rule_group="platform")
    story.add("alertmanager_notifications_failed_total", flat(0), job="alertmanager", integration="webhook")
    alert = {"alertstate": "firing", "severity": "warning"}
    story.add("ALERTS", flat(1), alertname="TargetDown", owner="platform", namespace="kserve", **alert)


def serving(story: Story) -> None:
    for version, rate in (("3", 9.0), ("2", 1.5)):
        served = {"model_name": "loan-approval", "model_version": version}
        who = {"namespace": "models", "pod": "loan-approval-predictor-88f" if version == "3" else "canary-4fd"}
        for window in ("1h", "6h"):
            story.add(f"model:request_failures:ratio_rate{window}", ramp(0.002, 0.012), **served)
        for outcome, share in (("answered", 0.97), ("refused", 0.02), ("failed", 0.01)):
            story.histogram("model_request_seconds", rate * share, protocol="v2", outcome=outcome, **served, **who)
        story.add(
            "model_info",
            flat(1),
            run_id=f"run{version}{'c0ffee' * 4}",
            digest=f"sha256:{version}{'ab12' * 8}",
            **served,
            **who,
        )
    for kind in ("request", "response"):
        story.add("prediction_log_events_total", rising(10), kind=kind, outcome="stored")
    story.add("prediction_log_events_total", rising(0.01), kind="response", outcome="refused")
    story.add("prediction_log_stored_rows_total", rising(10))
    story.add("prediction_log_spooled_events", wave(40, 35, 600))
    story.add("prediction_log_spool_oldest_seconds", wave(4, 3, 600))
    story.add("prediction_log_database_up", flat(1))
    story.add("prediction_log_spool_bytes", wave(4e6, 3e6, 600))
    story.add("prediction_log_spool_limit_bytes", flat(1e9))
    story.add("prediction_log_refused_total", flat(0), reason="full")
    story.add("prediction_log_write_failures_total", flat(0))
    story.add("prediction_log_unmatched_truths", flat(12))
    story.histogram("prediction_log_append_seconds", 20)


def quality(story: Story) -> None:
    story.add("model_window_rows", wave(5000, 400), **MODEL)
    story.add("model_window_probe_rows", wave(60, 10), **MODEL)
    story.add("model_window_labelled_rows", wave(1800, 100), **MODEL)
    story.add("model_label_delay_seconds", wave(2400, 300), **MODEL)
    story.add("model_monitor_duration_seconds", wave(2.4, 0.6))
    story.add("model_monitor_failures_total", flat(0), reason="database")
    story.add("model_drift_share", ramp(0.05, 0.25), **MODEL)
    for feature, method, end in (
        ("applicant_income", "wasserstein", 0.24),
        ("loan_amount", "ks", 0.04),
        ("race", "jensen-shannon", 0.06),
        ("prediction", "psi", 0.09),
    ):
        story.add("model_drift_score", ramp(0.02, end), feature=feature, method=method, **MODEL)
        story.add("model_drift_threshold", flat(0.1), feature=feature, method=method, **MODEL)
        story.add("model_drift_detected", flat(float(end > 0.1)), feature=feature, **MODEL)
        for check in ("missing", "range", "type", "category"):
            wrong = 0.03 if (feature, check) == ("loan_amount", "missing") else 0.0005
            story.add("model_quality_ratio", wave(wrong, wrong / 3), feature=feature, check=check, **MODEL)
    for metric, end in {
        "accuracy": 0.86,
        "auc": 0.84,
        "precision": 0.88,
        "recall": 0.9,
        "f1": 0.89,
        "brier": 0.11,
    }.items():
        story.add("model_performance", ramp(end + 0.02, end), metric=metric, **MODEL)
        story.add("model_performance_reference", flat(end + 0.02), metric=metric, **MODEL)
    story.add("model_calibration_error", ramp(0.02, 0.06), **MODEL)
    story.add("model_feedback", wave(4.1, 0.2), metric="stars", **MODEL)
    story.add("model_business", wave(120, 30), metric="value_per_decision", **MODEL)


def fairness(story: Story) -> None:
    for metric, end in {
        "disparate_impact_ratio": 0.78,
        "demographic_parity_difference": 0.17,
        "equalized_odds_difference": 0.08,
    }.items():
        what = {"metric": metric, "attribute": "race", **MODEL}
        start = end + 0.1 if "ratio" in metric else end - 0.05
        story.add("model_fairness", ramp(start, end), **what)
        story.add("model_fairness_low", ramp(start - 0.05, end - 0.05), **what)
        story.add("model_fairness_high", ramp(start + 0.05, end + 0.05), **what)
        story.add("model_fairness_drift", ramp(0, end - start), **what)
    for group, rows in {"black": 74, "hispanic": 160, "white": 4600}.items():
        story.add("model_fairness_group_rows", flat(rows), attribute="race", group=group, **MODEL)


def tracking(story: Story) -> None:
    for status in ("200", "404", "500"):
        what = {"method": "GET", "status": status}
        rate = {"200": 4.0, "404": 0.05, "500": 0.01}[status]
        story.add("mlflow_http_request_total", rising(rate), **what)
        story.histogram("mlflow_http_request_duration_seconds", rate, **what)


def audit(story: Story) -> None:
    subject = {"subject": "loan-approval"}
    states = {("", ""): 1, ("fairness", ""): 2, ("performance", ""): 0, ("transparency", ""): 1}
    states |= {("fairness", "fairness/parity"): 2, ("fairness", "fairness/odds"): 0}
    states |= {("performance", "performance/auc"): 0, ("transparency", "transparency/card"): 1}
    for (dimension, requirement), state in states.items():
        labels = {"dimension": dimension, "requirement": requirement}
        story.add("compliance_state", flat(state), **subject, **{key: text for key, text in labels.items() if text})
    story.add("cabc_evidence_age_seconds", wave(300, 120), **subject)
    for what in ("triggers", "collections"):
        story.add("cabc_queue", wave(1, 1, 900), what=what, **subject)
    story.histogram("cabc_run_duration_seconds", 0.05, step="collect", result="ok")
    story.add("cabc_missed_runs_total", flat(0), **subject)
    story.add("cabc_webhook_messages_total", rising(0.004), webhook="alertmanager", status="202")
    story.add("cabc_documents_refused", flat(0))
    story.add("conformity_gate_decisions_total", rising(0.001), decision="keep")
    story.add("conformity_gate_failures_total", flat(0), source="auditor")
    for status in ("conformant", "conditional", "suspended"):
        story.add("conformity_gate_status", flat(float(status == "conditional")), status=status, **MODEL)
    for name, ago in {
        "model_monitor_last_success_timestamp_seconds": 50,
        "conformity_gate_last_poll_timestamp_seconds": 8,
    }.items():
        story.add(name, lambda t, ago=ago: time.time() - HOURS * 3600 + t - ago)  # type: ignore[misc]
    story.add("cabc_last_assessment_timestamp_seconds", lambda t: time.time() - HOURS * 3600 + t - 700, **subject)


def openmetrics(end: float) -> Iterator[str]:
    """Give the story as lines with times, up to `end`."""
    start = end - HOURS * 3600
    for name, each in series().items():
        for labels, shape in each:
            inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
            for tick in range(0, HOURS * 3600 + 1, STEP):
                yield f"{name}{{{inner}}} {shape(tick):.10g} {start + tick:.0f}\n"
    for group in rules_of_components()["grafana"]:
        for rule in (rule.rule() for rule in group.rules):
            inner = ",".join(f'{key}="{value}"' for key, value in rule["labels"].items())
            value = rule["expr"].removeprefix("vector(").removesuffix(")")
            for tick in range(0, HOURS * 3600 + 1, STEP):
                yield f"{rule['record']}{{{inner}}} {value} {start + tick:.0f}\n"
    yield "# EOF\n"


def end_of(url: str) -> float:
    """Return when the story ends in the Prometheus at `url`."""
    with urllib.request.urlopen(f"{url}/api/v1/query?query=timestamp(model_window_rows)") as answer:  # noqa: S310 (our own server)
        return float(json.load(answer)["data"]["result"][0]["value"][1])


def promtool() -> Path:
    """Return promtool, or skip the test."""
    from mlops import toolchain

    program = toolchain.binary("promtool")
    if not program.is_file():
        pytest.skip("the prometheus of the toolchain is not built")
    return program


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a Prometheus that holds the story, and give its address."""
    text = folder / "story.txt"
    with text.open("w") as file:
        file.writelines(openmetrics(time.time()))
    data = folder / "data"
    program = promtool()
    subprocess.run([program, "tsdb", "create-blocks-from", "openmetrics", text, data], check=True, capture_output=True)
    # A rule, because Prometheus tells of rules and samples only when it has some.
    rule = {"name": "story", "interval": "1s", "rules": [{"record": "story:told", "expr": "vector(1)"}]}
    (folder / "rules.yml").write_text(json.dumps({"groups": [rule]}))
    (folder / "prometheus.yml").write_text(json.dumps({"rule_files": ["rules.yml"]}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    flags = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
        # The story has no writer that goes on, and a panel looks at now.
        "--query.lookback-delta=1h",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program.with_name("prometheus"), *flags], stdout=log, stderr=log)
    try:
        wait(f"http://{address}/api/v1/query?query=story:told", "story:told")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait(url: str, text: str) -> None:
    """Wait until a page has a text."""
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as page:  # noqa: S310 (our own server)
                if text in page.read().decode():
                    return
        except (urllib.error.URLError, OSError):
            pass
        assert time.monotonic() < end, f"{url} does not say {text}"
        time.sleep(0.1)
