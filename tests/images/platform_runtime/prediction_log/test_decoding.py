"""Both protocols say the same of the same rows; what cannot be read says why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from platform_runtime.prediction_log.decoding import Half, UndecodableError, decode
from platform_runtime.prediction_log.events import Event

IDENTITY = {"model_name": "loan", "model_version": "3", "run_id": "r1", "digest": "sha256:d"}
TOLD = {"model": "loan", "version": "3", "run_id": "r1", "digest": "sha256:d"}
ANNOTATIONS = {
    "annotations": json.dumps({"oss-mlops-platform/model-name": "loan", "oss-mlops-platform/model-version": "2"})
}


def half(kind: str, body: Any, **extensions: str) -> Half:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    type_ = f"org.kubeflow.serving.inference.{kind}"
    return decode(Event("a", type_, "x", "", 0.0, {"inferenceservicename": "loan", **extensions}, content))


def tensor(name: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": "FP64", "data": data}


NAMED = [{"a": 1.5, "b": "x"}, {"a": 2.5, "b": "y"}]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"instances": NAMED}, NAMED),
        ({"inputs": NAMED}, NAMED),
        ({"inputs": [tensor("a", [2], [1.5, 2.5]), tensor("b", [2, 1], ["x", "y"])]}, NAMED),
        ({"inputs": [tensor("a", [2, 1], [[1.5], [2.5]]), tensor("b", [2], ["x", "y"])]}, NAMED),
        ({"instances": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ({"inputs": [tensor("input-0", [2, 2], [1, 2, 3, 4])]}, [[1, 2], [3, 4]]),
        ({"inputs": [tensor("input-0", [2, 2], [[1, 2], [3, 4]])]}, [[1, 2], [3, 4]]),
        ({"instances": [1, 2]}, [[1], [2]]),
        ({"instances": []}, []),
    ],
)
def test_rows_of_requests(body: dict[str, Any], rows: list[Any]) -> None:
    assert half("request", body).rows == rows


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"predictions": [[0.25, 0.75], [0.5, 0.5]], **IDENTITY}, [[0.25, 0.75], [0.5, 0.5]]),
        (
            {"outputs": [tensor("predictions", [2, 2], [0.25, 0.75, 0.5, 0.5])], "parameters": IDENTITY},
            [[0.25, 0.75], [0.5, 0.5]],
        ),
        ({"predictions": [1, 0], **IDENTITY}, [1, 0]),
        ({"outputs": [tensor("predictions", [2], [1, 0])], "parameters": IDENTITY}, [1, 0]),
        ({"predictions": [{"y": 1, "p": 0.5}], **IDENTITY}, [{"y": 1, "p": 0.5}]),
        (
            {"outputs": [tensor("y", [1], [1]), tensor("p", [1], [0.5])], "parameters": IDENTITY},
            [{"y": 1, "p": 0.5}],
        ),
        ({"predictions": {"y": [1], "p": [0.5]}, **IDENTITY}, [{"y": 1, "p": 0.5}]),
    ],
)
def test_rows_of_answers_and_who_gave_them(body: dict[str, Any], rows: list[Any]) -> None:
    found = half("response", body)
    assert found.rows == rows
    assert found.identity == TOLD
    assert found.protocol == ("v2" if "outputs" in body else "v1")


def test_what_the_server_says_of_itself_counts_and_annotations_add_nothing() -> None:
    unsure = {**IDENTITY, "model_name": "", "model_version": ""}
    assert half("response", {"predictions": [1], **unsure}, **ANNOTATIONS).identity == {
        **TOLD,
        "model": "",
        "version": "",
    }


def test_where_the_server_says_nothing_its_annotations_do() -> None:
    for kind, body in (("request", {"instances": [1]}), ("response", {"predictions": [1]})):
        found = half(kind, body, **ANNOTATIONS)
        assert (found.identity["model"], found.identity["version"]) == ("loan", "2")


def test_other_servers_of_v2_say_name_and_version() -> None:
    body = {"model_name": "iris", "model_version": "7", "outputs": [tensor("out", [1], [1])]}
    found = half("response", body)
    assert (found.identity["model"], found.identity["version"], found.identity["run_id"]) == ("iris", "7", "")


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("request", b"\x00\x01", "not JSON"),
        ("request", b'{"instances": [NaN]}', "not JSON"),
        ("request", [1], "no object"),
        ("request", {"rows": []}, "neither"),
        ("response", {"error": "x"}, "neither"),
        ("request", {"instances": ["\x00"]}, "character NUL"),
        ("request", {"inputs": [{"name": "a", "shape": [1], "parameters": {"binary_data_size": 8}}]}, "binary"),
        ("request", {"inputs": [tensor("a", [3], [1, 2])]}, r"2 values do not fit shape \[3\]"),
        ("request", {"inputs": [tensor("a", [-1], [1])]}, r"shape is \[-1\]"),
        (
            "request",
            {"inputs": [tensor("a", [1], [1]), tensor("b", [2], [1, 2])]},
            "columns differ in length: a 1, b 2",
        ),
        ("explanation", {}, "none of a prediction"),
    ],
)
def test_what_cannot_be_read_says_why(kind: str, body: Any, problem: str) -> None:
    with pytest.raises(UndecodableError, match=problem):
        half(kind, body)


def test_a_text_that_only_spells_nul_is_a_text() -> None:
    assert half("request", {"instances": [{"a": "\\u0000"}]}).rows == [{"a": "\\u0000"}]
