"""Which namespaces are counted together."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.measure import WATCHING, by_namespace, show_namespaces, together
from components._core import catalogue


def pod(namespace: str, mebibytes: int, millicores: int) -> dict[str, Any]:
    return {
        "podRef": {"namespace": namespace},
        "memory": {"workingSetBytes": mebibytes << 20},
        "cpu": {"usageNanoCores": millicores * 10**6},
    }


SUMMARY = {
    "pods": [
        pod("cabc-auditor", 100, 2),
        pod("cabc-auditor", 120, 3),
        pod("mlflow", 200, 1),
        pod("prediction-log", 60, 4),
        {"podRef": {"namespace": "cabc-auditor"}},  # a Job that has ended
    ]
}


def test_pods_are_summed_by_namespace() -> None:
    assert by_namespace(SUMMARY) == {
        "cabc-auditor": {"pods": 2, "memoryMiB": 220, "millicores": 5},
        "mlflow": {"pods": 1, "memoryMiB": 200, "millicores": 1},
        "prediction-log": {"pods": 1, "memoryMiB": 60, "millicores": 4},
    }
    assert together(by_namespace(SUMMARY)) == {"pods": 4, "memoryMiB": 480, "millicores": 10}
    assert together({}) == {"pods": 0, "memoryMiB": 0, "millicores": 0}


def test_namespaces_that_watch_are_those_of_components() -> None:
    assert {name.replace("-", "_") for name in WATCHING} <= set(catalogue.folders())


def test_the_table_tells_what_watches_from_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    namespaces = by_namespace(SUMMARY)
    watching = together({name: used for name, used in namespaces.items() if name in WATCHING})
    show_namespaces({"namespaces": namespaces, "watching": watching})
    assert capsys.readouterr().out.splitlines()[3:] == [
        "| prediction-log | 1 | 60 | 4.0 |",
        "| cabc-auditor | 2 | 220 | 5.0 |",
        "| **2 that watch models** | 3 | 280 | 9.0 |",
        "| mlflow | 1 | 200 | 1.0 |",
        "| **the rest** | 1 | 200 | 1.0 |",
        "",
    ]
