"""What people see of the engine's events."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from mlops.progress import Problem, Progress

URN = "urn:pulumi:s::p::a:components:Mlflow$kubernetes:apps/v1:Deployment::mlflow"


def shown(*events: dict[str, Any]) -> tuple[Progress, str]:
    out = io.StringIO()
    with Progress(out=Console(file=out, width=200, soft_wrap=True)) as progress:
        for event in events:
            progress.take(event)
    return progress, out.getvalue()


def step(op: str) -> dict[str, Any]:
    return {"metadata": {"op": op, "urn": URN, "type": "kubernetes:apps/v1:Deployment", "new": {"custom": True}}}


def test_one_line_per_change_and_none_for_what_stays() -> None:
    progress, text = shown(
        {"resourcePreEvent": step("create")},
        {"resOutputsEvent": step("create")},
        {"resourcePreEvent": step("same")},
        {"resOutputsEvent": step("same")},
        {"summaryEvent": {"resourceChanges": {"create": 1, "same": 1}}},
    )
    assert text.startswith("  created Deployment mlflow")
    assert len(text.splitlines()) == 1
    assert progress.summary == "1 created, 1 unchanged"


def test_error_is_kept_with_its_resource() -> None:
    message = "<{%reset%}>0 of 1 pods ready: [mlflow-1] ImagePullBackOff<{%reset%}>"
    progress, text = shown(
        {"resourcePreEvent": step("create")},
        {"diagnosticEvent": {"urn": URN, "severity": "error", "message": message}},
        {"diagnosticEvent": {"urn": URN, "severity": "error", "message": message}},
        {"resOpFailedEvent": step("create")},
    )
    assert progress.problems == [Problem("Deployment mlflow", "0 of 1 pods ready: [mlflow-1] ImagePullBackOff")]
    assert text.count("ImagePullBackOff") == 1


def test_debug_and_passing_words_are_not_lines() -> None:
    _, text = shown(
        {"resourcePreEvent": step("create")},
        {"diagnosticEvent": {"severity": "debug", "message": "registering"}},
        {"diagnosticEvent": {"urn": URN, "severity": "info", "message": "waiting for pods", "ephemeral": True}},
    )
    assert text == ""


def test_warning_is_said_once() -> None:
    event = {"diagnosticEvent": {"severity": "warning", "message": "careful"}}
    _, text = shown(event, event)
    assert text.count("careful") == 1
