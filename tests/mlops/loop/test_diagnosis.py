"""What is said of a pod is the same from outside and from the runtime image, which cannot share the code."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest

from components._core import paths
from mlops.loop.diagnosis import pod_trouble

SAID: list[tuple[dict[str, Any], str]] = [
    ({"conditions": [{"type": "Ready", "status": "True"}]}, ""),
    ({"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
    (
        {
            "initContainerStatuses": [
                {"name": "a", "state": {"terminated": {"reason": "Error", "message": "no\n file"}}}
            ]
        },
        "pod p: a: Error (no file)",
    ),
    (
        {
            "containerStatuses": [
                {"name": "a", "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOM"}}}
            ]
        },
        "pod p: a: OOM",
    ),
    ({"conditions": [{"status": "False", "message": "0/1 nodes"}]}, "pod p: 0/1 nodes"),
]


@pytest.mark.parametrize(("status", "said"), SAID)
def test_both_say_the_same(status: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(paths.CHECKOUT / "images" / "python"), *sys.path])
    runtime = importlib.import_module("platform_runtime.deployment")
    pod = {"metadata": {"name": "p"}, "status": status}
    assert pod_trouble(pod) == runtime.pod_trouble(pod) == said
