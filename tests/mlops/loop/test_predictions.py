"""Answers are held against the registered model's own, row by row, and against who gives them."""

from __future__ import annotations

from typing import cast

import pytest

from mlops.loop.cluster import Cluster, place
from mlops.loop.ledger import Ledger, StageError
from mlops.loop.predictions import Expected, answers
from mlops.loop.registry import Registered, Registry
from mlops.loop.serving import Serving
from tests.support.loop import MLFLOW, FakePlatform

ROWS = [Expected({"a": 1.0}, [0.25]), Expected({"a": 2.0}, [0.25])]


def ask(platform: FakePlatform, rows: list[Expected], protocol: str) -> Ledger:
    cluster, ledger = cast("Cluster", platform), Ledger()
    registered = Registry(cluster, MLFLOW).version("loan-approval", "2")
    assert isinstance(registered, Registered)
    answers(ledger, Serving(cluster, "models", "loan-approval"), registered, rows, protocol)
    return ledger


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_equal_answers_of_the_right_version_are_facts(protocol: str) -> None:
    platform = FakePlatform()
    ledger = ask(platform, ROWS, protocol)
    assert ledger.facts[-1].found == 2
    assert platform.counted[protocol] == 2


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_the_first_row_that_differs_is_named(protocol: str) -> None:
    rows = [ROWS[0], Expected({"a": 2.0}, [0.26])]
    with pytest.raises(StageError, match=r"has answer to row 1 \[0.25\], expected \[0.26\]") as caught:
        ask(FakePlatform(), rows, protocol)
    assert caught.value.stage == f"predict-{protocol}"


def test_the_last_bits_of_a_number_are_not_a_difference() -> None:
    ask(FakePlatform(probability=0.25 + 1e-16), ROWS, "v1")


def test_another_version_is_named() -> None:
    with pytest.raises(StageError, match=r"answers version 1 \(run run-1\), expected 2"):
        ask(FakePlatform(answers=1), ROWS, "v1")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://mlflow.mlflow.svc.cluster.local:5000", ("mlflow", "mlflow", 5000)),
        ("http://loan-predictor.models.svc", ("models", "loan-predictor", 80)),
    ],
)
def test_place_of_an_address(url: str, found: tuple[str, str, int]) -> None:
    assert place(url) == found
