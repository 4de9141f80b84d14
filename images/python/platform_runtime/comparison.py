"""Compare what a server answers with what the registered model itself says, row by row, over both protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

__all__ = ["Comparison", "ComparisonError", "compare", "tensors"]

BATCH = 50
"""Rows per request."""

TOLERANCE = 1e-12
"""Largest difference of two probabilities that are the same: the last bits depend on how rows are batched."""

SAMPLE = 5
"""Rows that are handed on, so that somebody else can ask again."""


class ComparisonError(Exception):
    """Server and model disagree. The text names protocol, row and both answers."""


@dataclass(frozen=True)
class Comparison:
    """What was found for each protocol, and some rows with the model's own answers."""

    v1: dict[str, Any]
    v2: dict[str, Any]
    sample: list[dict[str, Any]]


def compare(url: str, service: str, model: str, rows: pd.DataFrame) -> Comparison:
    """Send all `rows` to the server at `url` over v1 and v2. Raises ComparisonError at the first difference."""
    import mlflow

    own = mlflow.pyfunc.load_model(model)
    with httpx.Client(base_url=url, timeout=30) as client:

        def v1(batch: pd.DataFrame) -> httpx.Response:
            return client.post(f"/v1/models/{service}:predict", json={"instances": batch.to_dict(orient="records")})

        def v2(batch: pd.DataFrame) -> httpx.Response:
            return client.post(f"/v2/models/{service}/infer", json={"inputs": tensors(batch)})

        return Comparison(
            v1=_protocol("v1", v1, own, rows, lambda body: np.asarray(body["predictions"])),
            v2=_protocol("v2", v2, own, rows, _first_output),
            sample=[
                {"row": row, "answer": np.asarray(answer).tolist()}
                for row, answer in zip(
                    rows.head(SAMPLE).to_dict(orient="records"), np.asarray(own.predict(rows.head(SAMPLE))), strict=True
                )
            ],
        )


def tensors(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as the v2 protocol has them: one FP64 tensor per column."""
    return [
        {"name": str(name), "shape": [len(rows)], "datatype": "FP64", "data": rows[name].astype(float).tolist()}
        for name in rows.columns
    ]


def _first_output(body: dict[str, Any]) -> np.ndarray[Any, Any]:
    output = body["outputs"][0]
    return np.asarray(output["data"]).reshape(output["shape"])


def _protocol(
    protocol: str,
    send: Callable[[pd.DataFrame], httpx.Response],
    own: Any,
    rows: pd.DataFrame,
    read: Callable[[Any], np.ndarray[Any, Any]],
) -> dict[str, Any]:
    equal, requests, largest, versions = 0, 0, 0.0, set()
    for first, batch in _batches(rows):
        answer = send(batch)
        requests += 1
        if answer.is_error:
            msg = f"{protocol}: HTTP {answer.status_code}: {answer.text[:200]}"
            raise ComparisonError(msg)
        versions.add((answer.headers.get("x-model-version", ""), answer.headers.get("x-model-run-id", "")))
        served, expected = read(answer.json()), np.asarray(own.predict(batch))
        if served.shape != expected.shape:
            msg = f"{protocol}: rows {first}…: {served.shape} answers, the model gives {expected.shape}"
            raise ComparisonError(msg)
        differences = np.abs(served - expected).reshape(len(batch), -1).max(axis=1)
        largest = max(largest, float(differences.max()))
        wrong = np.flatnonzero(~(differences <= TOLERANCE))
        if wrong.size:
            msg = f"{protocol}: row {first + wrong[0]}: {served[wrong[0]]}, the model says {expected[wrong[0]]}"
            raise ComparisonError(msg)
        equal += len(batch)
    (version, run_id), *others = sorted(versions)
    if others:
        msg = f"{protocol}: more than one version answered: {sorted(versions)}"
        raise ComparisonError(msg)
    return {
        "rows": len(rows),
        "equal": equal,
        "requests": requests,
        "largest_difference": largest,
        "version": version,
        "run_id": run_id,
    }


def _batches(rows: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    for first in range(0, len(rows), BATCH):
        yield first, rows.iloc[first : first + BATCH]
