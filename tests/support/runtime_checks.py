"""Checks of the image's code that needs numpy, pandas, MLflow and KServe: run by Python in the image, prints how many.

`kubectl exec … -- python -c "$(cat tests/support/runtime_checks.py)"`
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from platform_runtime import conversion
from platform_runtime.comparison import tensors
from platform_runtime.identity import Identity
from platform_runtime.serve import Answers, Drain, MlflowModel

MIXED = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.double, "income"),
            ColSpec(DataType.long, "rooms"),
            ColSpec(DataType.string, "town"),
            ColSpec(DataType.boolean, "old"),
            ColSpec(DataType.datetime, "day", required=False),
        ]
    )
)
MATRIX = ModelSignature(inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 2))]))


def refused(work: Callable[[], Any], reason: str) -> None:
    """Assert that `work` is refused for a reason."""
    said = "nothing"
    try:
        work()
    except conversion.ConversionError as error:
        said = str(error)
    assert reason in said, f"{reason!r} not in {said!r}"


def check_numbers_become_what_the_signature_says() -> None:
    row = {"income": 7, "rooms": 3.0, "town": 12, "old": 1, "day": "2026-01-02", "extra": "x"}
    frame = conversion.from_rows([row], MIXED)
    assert [str(kind) for kind in frame.dtypes][:2] == ["float64", "int64"]
    assert frame.loc[0, "town"] == "12"
    assert frame.loc[0, "old"] is np.True_
    assert frame.loc[0, "day"] == pd.Timestamp("2026-01-02")
    assert "extra" not in frame


def check_rows_without_names_are_in_order() -> None:
    signature = ModelSignature(inputs=Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.long, "b")]))
    frame = conversion.from_rows([[1, 2], [3, 4]], signature)
    assert frame.to_dict(orient="list") == {"a": [1.0, 3.0], "b": [2, 4]}
    refused(lambda: conversion.from_rows([[1, 2, 3]], signature), "rows have 3 values, the model wants 2: a, b")


def check_what_does_not_fit_is_named() -> None:
    good = {"income": 1, "rooms": 1, "town": "a", "old": True}
    refused(lambda: conversion.from_rows([{**good, "rooms": 1.5}], MIXED), "rooms: cannot be read as long (1.5 is not")
    refused(lambda: conversion.from_rows([{**good, "old": 2}], MIXED), "old: cannot be read as boolean")
    refused(lambda: conversion.from_rows([{**good, "income": "much"}], MIXED), "income: cannot be read as double")
    refused(lambda: conversion.from_rows([{"income": 1}], MIXED), "the model wants rooms, town, old")
    refused(lambda: conversion.from_rows([], MIXED), "at least one row")
    refused(lambda: conversion.from_rows([good, [1]], MIXED), "some rows have names")


def check_tensors_by_column_and_as_one_matrix() -> None:
    signature = ModelSignature(inputs=Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.string, "b")]))
    texts = np.array([b"x", "y"], dtype=object)
    frame = conversion.from_tensors([("a", np.array([1, 2])), ("b", texts)], signature)
    assert frame.to_dict(orient="list") == {"a": [1.0, 2.0], "b": ["x", "y"]}
    matrix = conversion.from_tensors([("any", np.array([[1, 2], [3, 4]]))], MATRIX)
    assert matrix.dtype == np.float32
    refused(
        lambda: conversion.from_tensors([("a", np.array([1, 2])), ("b", np.array(["x"], dtype=object))], signature),
        "inputs differ in length: a 2, b 1",
    )


def check_answers_of_every_kind() -> None:
    assert conversion.to_rows(np.array([[0.1, 0.9]])) == [[0.1, 0.9]]
    assert conversion.to_rows(pd.Series([1, 2])) == [1, 2]
    assert conversion.to_rows(pd.DataFrame({"p": [0.5], "label": ["a"]})) == [{"p": 0.5, "label": "a"}]
    assert conversion.to_rows(["a", "b"]) == ["a", "b"]
    ((name, values),) = conversion.to_tensors(["a", "b"])
    assert (name, values.dtype, values.shape) == ("predictions", object, (2,))
    assert [name for name, _ in conversion.to_tensors(pd.DataFrame({"p": [0.5], "q": [1]}))] == ["p", "q"]


def check_v2_rows_are_one_tensor_per_column() -> None:
    assert tensors(pd.DataFrame({"a": [1, 2]})) == [{"name": "a", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0]}]


def check_a_draining_server_asks_clients_to_let_go() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def headers(answers: Answers) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}

        async def send(message: Any) -> None:
            found.update(message["headers"])

        await answers({}, None, send)
        return found

    drain = Drain()
    answers = Answers(app, Identity("loan", "3", "r", "sha256:d"), drain)
    before = asyncio.run(headers(answers))
    assert before[b"x-model-version"] == b"3"
    assert b"connection" not in before
    drain.started = True
    assert asyncio.run(headers(answers))[b"connection"] == b"close"


class Sum(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Adds the columns of a row."""

    def predict(self, context: Any, model_input: pd.DataFrame) -> Any:  # noqa: ARG002 (MLflow looks for the name)
        """Return the sums."""
        return model_input.sum(axis=1)


def check_any_pyfunc_model_is_served_over_v1() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        signature = ModelSignature(inputs=Schema([ColSpec(DataType.double, "a"), ColSpec(DataType.double, "b")]))
        mlflow.pyfunc.save_model(path, python_model=Sum(), signature=signature, pip_requirements=[])
        model = MlflowModel("sum", path, {})
        assert model.load()
        answer = asyncio.run(model.predict({"instances": [{"a": 1, "b": 2}]}))
        assert answer["predictions"] == [3.0]
        assert answer["digest"].startswith("sha256:")
        assert model.get_input_types()[0] == {"name": "a", "datatype": "FP64", "shape": [-1]}


def main() -> None:
    """Run all checks."""
    checks = [found for name, found in globals().items() if name.startswith("check_")]
    for check in checks:
        check()
    sys.stdout.write(f"{len(checks)} checks passed\n")


if __name__ == "__main__":
    main()
