"""Alerts of every component: Prometheus takes them, each is shown to fire and to be silent, and says what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._core import paths
from components._core.rules import OWNERS, SEVERITIES, Alert, Group, Recording, rules_of_components
from components.prometheus import scraping

RULES = rules_of_components()
EVERY = [rule for groups in RULES.values() for group in groups for rule in group.rules]
ALERTS = [(folder, alert) for folder, groups in RULES.items() for group in groups for alert in group.alerts]
NAMES = sorted({alert.name for _, alert in ALERTS})

UNITS = paths.CHECKOUT / "tests" / "rules"
FILES = sorted(UNITS.glob("*/*.yaml"))

RUNBOOKS = paths.CHECKOUT / "docs" / "runbooks"
HEADINGS = ["What it means", "Look here", "Fix", "Silence"]

HEAD = """\
# Runbooks

What to do when an alert fires. An alert carries the path of its page in the annotation `runbook`; who acts on it is its
label `owner`: `platform` runs the platform, `models` owns the model, `audit` answers for conformity. `critical` is to
be acted on now, `warning` within days, `info` is worth knowing. A critical alert mutes warnings about the same object.

Who is told is said in the order form, `prometheus.receivers`. A silence is made in Alertmanager, with the matchers that
the page names, an end and a reason:
```
kubectl -n prometheus port-forward service/alertmanager 9093   # then http://localhost:9093/#/silences/new
```
The alerts are code: `rules.py` of the component named here, with unit tests in `tests/rules/<component>/`.

| alert | severity | owner | component | holds for |
|---|---|---|---|---|
"""


@pytest.fixture(scope="session")
def promtool() -> Path:
    from mlops import toolchain

    return toolchain.binary("promtool")


def write(folder: Path, groups: list[Group]) -> None:
    """Write the rules of one component as Prometheus reads them."""
    (folder / "rules.yaml").write_text(json.dumps({"groups": [group.spec() for group in groups]}, indent=1))


def run(promtool: Path, folder: Path, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def questions_of(file: Path) -> list[dict[str, Any]]:
    """Return every question about an alert in a file of unit tests."""
    content = yaml.safe_load(file.read_text())
    return [question for test in content["tests"] for question in test.get("alert_rule_test", [])]


@pytest.mark.backend
@pytest.mark.parametrize("component", sorted(RULES))
def test_prometheus_takes_the_rules(component: str, promtool: Path, tmp_path: Path) -> None:
    write(tmp_path, RULES[component])
    run(promtool, tmp_path, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml")


@pytest.mark.backend
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_alerts_fire_when_they_should(file: Path, promtool: Path, tmp_path: Path) -> None:
    write(tmp_path, RULES[file.parent.name])
    shutil.copy(file, tmp_path)
    run(promtool, tmp_path, "test", "rules", file.name)


def test_every_file_of_unit_tests_is_of_a_group() -> None:
    groups = {(folder, group.name) for folder, found in RULES.items() for group in found if group.alerts}
    assert {(file.parent.name, file.stem) for file in FILES} == groups


@pytest.mark.parametrize("component", sorted(RULES))
def test_every_alert_is_shown_to_fire_and_to_be_silent(component: str) -> None:
    for group in RULES[component]:
        questions = questions_of(UNITS / component / f"{group.name}.yaml") if group.alerts else []
        for alert in group.alerts:
            asked = [question for question in questions if question["alertname"] == alert.name]
            labels = [found["exp_labels"] for question in asked for found in question["exp_alerts"]]
            wanted = {"severity": alert.severity, "owner": alert.owner}
            assert any(wanted.items() <= found.items() for found in labels), (
                f"{alert.name} {alert.severity} fires never"
            )
            if alert.severity != "none":
                assert any(not question["exp_alerts"] for question in asked), f"{alert.name} is never silent"


def test_names_are_told_apart() -> None:
    stages = Counter((alert.name, alert.severity) for _, alert in ALERTS)
    assert [stage for stage, times in stages.items() if times > 1] == []
    for name in NAMES:
        assert len({(folder, alert.owner) for folder, alert in ALERTS if alert.name == name}) == 1, name
    for folder, groups in RULES.items():
        assert len({group.name for group in groups}) == len(groups), folder
    recorded = [rule.record for rule in EVERY if isinstance(rule, Recording)]
    assert len(set(recorded)) == len(recorded)


@pytest.mark.parametrize("alert", [alert for _, alert in ALERTS], ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_alert_says_who_acts_and_on_what(alert: Alert) -> None:
    assert re.fullmatch(r"([A-Z][a-z0-9]+)+", alert.name)
    assert alert.severity in SEVERITIES
    assert alert.owner in OWNERS
    assert re.fullmatch(r"\d+[smhd]", alert.wait)
    assert re.fullmatch(r".+\.", alert.summary)


def test_rules_ask_only_for_series_that_are_kept() -> None:
    """Of Kubernetes, most series are dropped when they are read; of ours, those are there that a rule records."""
    kept = {*scraping.CONTAINERS, *scraping.DISKS, *scraping.KUBELET, *scraping.STATE_METRICS}
    # When the webhook's certificate expires is known to the stack alone.
    recorded = {rule.record for rule in EVERY if isinstance(rule, Recording)} | {
        "kserve:webhook_certificate_expiry:timestamp_seconds"
    }
    text = " ".join(str(rule.expression) for rule in EVERY)
    assert set(re.findall(r"\b(?:kube|kubelet|container)_\w+", text)) <= kept
    assert set(re.findall(r"\b\w+:\w+:\w+\b", text)) <= recorded


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_page(name: str) -> None:
    (found,) = {alert.runbook for _, alert in ALERTS if alert.name == name}
    text = (paths.CHECKOUT / found).read_text()
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


def test_every_page_is_of_an_alert() -> None:
    assert {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"} == set(NAMES)


def test_index_is_current(update_test_data: bool) -> None:  # noqa: FBT001 (a fixture)
    rows = [
        f"| [{alert.name}]({alert.name}.md) | {alert.severity} | {alert.owner} | {folder} | {alert.wait} |"
        for folder, alert in sorted(ALERTS, key=lambda found: (found[1].name, SEVERITIES.index(found[1].severity)))
    ]
    text = HEAD + "\n".join(rows) + "\n"
    if update_test_data:
        (RUNBOOKS / "README.md").write_text(text)
    assert (RUNBOOKS / "README.md").read_text() == text, "run: pytest --update-test-data tests/repository/test_rules.py"
