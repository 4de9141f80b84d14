"""The example's specification holds what it promises, means what its tests say, and asks only for what there is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components._core import paths
from examples.loan_approval import pipeline

FOLDER = paths.CHECKOUT / "examples" / "loan_approval" / "specification"
SPECIFICATION = FOLDER / "loan-approval.yaml"

CONNECTIONS = {
    "mlflow": {"kind": "mlflow", "url": "http://mlflow.mlflow.svc:5000", "network": "internal"},
    "prometheus": {"kind": "prometheus", "url": "http://prometheus.prometheus.svc:9090", "network": "internal"},
    "predictions": {"kind": "sql", "url": "postgresql+psycopg://reader@postgres.postgres.svc/prediction_log"},
    "collector": {"kind": "rest", "url": "http://prediction-log.prediction-log.svc:8080", "network": "internal"},
    "kubernetes": {"kind": "kubernetes", "inCluster": True, "namespaces": ["models"]},
    "infrastructure": {"kind": "infrastructure", "inCluster": True},
    "docs": {"kind": "file", "root": str(FOLDER)},
}
"""As component cabcAuditor names them."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SPECIFICATION.read_text())["conformitySpecification"]
    return found


def cabc(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the auditor of this environment, in which the platform's plugin is."""
    return subprocess.run([sys.executable, "-m", "cabc", *arguments], capture_output=True, text=True, check=False)


def requirements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for dimension in document["dimensions"]:
        yield from dimension["requirements"]


def leaves(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for requirement in requirements(document):
        for metric in requirement["metrics"]:
            yield from metric["measurements"]


def interfaces(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for leaf in leaves(document):
        yield leaf["interface"]
        if isinstance(leaf["target"], dict) and "interface" in leaf["target"]:
            yield leaf["target"]["interface"]


def test_it_is_valid_with_the_connections_that_the_auditor_has(tmp_path: Path) -> None:
    connections = tmp_path / "connections.yaml"
    connections.write_text(yaml.safe_dump({"connections": CONNECTIONS}))
    done = cabc("validate", str(SPECIFICATION), "--connections", str(connections))
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_own_tests_pass() -> None:
    done = cabc("test", str(SPECIFICATION))
    assert done.returncode == 0, done.stdout + done.stderr


def test_four_articles_are_measured_over_many_kinds_of_interfaces(document: dict[str, Any]) -> None:
    assert document["source"][0]["articles"] == [10, 12, 13, 15]
    assert len(list(leaves(document))) >= 14
    kinds = {interface["kind"] for interface in interfaces(document)}
    assert {"mlflow", "prometheus", "sql", "kubernetes", "rest", "file", "infrastructure", "manual"} <= kinds


def test_every_risk_is_mitigated_and_every_requirement_mitigates_one(document: dict[str, Any]) -> None:
    risks = {risk["id"] for risk in document["risks"]}
    mitigated = [set(requirement["mitigates"]) for requirement in requirements(document)]
    assert all(mitigated)
    assert set.union(*mitigated) == risks


def test_every_requirement_says_what_to_do(document: dict[str, Any]) -> None:
    assert all(requirement["remediation"] for requirement in requirements(document))


def test_the_version_that_is_audited_is_the_one_that_the_gate_looks_at(document: dict[str, Any]) -> None:
    assert document["subject"]["registeredModel"] == pipeline.MODEL
    assert document["subject"]["alias"] == "candidate"
    assert document["subject"]["inferenceService"] == f"models/{pipeline.MODEL}"


def test_every_protected_attribute_has_its_leaf(document: dict[str, Any]) -> None:
    asked = {interface.get("metric") for interface in interfaces(document)}
    assert {f"disparate_impact_ratio_{attribute}" for attribute in pipeline.ATTRIBUTES} <= asked


def test_files_that_it_reads_are_beside_it_and_say_what_is_looked_for(document: dict[str, Any]) -> None:
    for interface in interfaces(document):
        if interface["kind"] == "file":
            assert (FOLDER / interface["path"]).is_file()
    instructions = (FOLDER / "instructions.md").read_text()
    for leaf in leaves(document):
        if leaf["interface"]["kind"] == "file":
            assert leaf["target"] in instructions


def test_what_is_declared_is_what_the_gate_asks_for_at_least() -> None:
    declared = json.loads((FOLDER / "declared.json").read_text())
    assert declared["auc"] >= pipeline.ARGUMENTS["min_auc"]
    assert declared["accuracy"] >= pipeline.ARGUMENTS["min_accuracy"]


def test_a_version_without_labels_yet_has_no_leaf_that_needs_them(document: dict[str, Any]) -> None:
    # Nothing shown is zero and no error, or each new version would be suspended before anybody asked it anything.
    of_windows = [
        interface["query"]
        for interface in interfaces(document)
        if interface["kind"] == "prometheus" and 'version="${subject.version}"' in interface["query"]
    ]
    assert of_windows
    assert all(query.endswith("or vector(0)") for query in of_windows)
