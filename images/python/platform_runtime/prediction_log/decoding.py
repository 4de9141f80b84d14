"""From the body of an event to rows: v1 and v2 requests and answers, one value per row, the same for both protocols."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from platform_runtime.identity import ANNOTATION
from platform_runtime.prediction_log.canonical import holds_nul
from platform_runtime.prediction_log.events import ANSWERED, Event

__all__ = ["Half", "UndecodableError", "decode"]

IDENTITY = {"model": "model_name", "version": "model_version", "run_id": "run_id", "digest": "digest"}
"""What is told of a model, and the fields in which our model server tells it (`Identity.fields`)."""

SINGLE = "predictions"
"""What our model server calls a tensor that is the whole answer."""


class UndecodableError(ValueError):
    """The event cannot be read. The text says why; the event becomes a dead letter."""


@dataclass(frozen=True)
class Half:
    """A request or an answer."""

    id: str
    kind: str
    service: str
    namespace: str
    identity: dict[str, str]
    """Model, version, run and digest, as far as this event says them."""

    protocol: str
    at: dt.datetime
    rows: list[Any]
    """Of a request one mapping per row, or a list where the client gave no names; of an answer one value per row."""

    status: int
    """Of an answer: its HTTP status."""


def decode(event: Event) -> Half:
    """Return what an event says; raises UndecodableError."""
    readers = {"request": _request, "response": _answer}
    if event.kind not in readers:
        msg = f"type {event.type} is none of a prediction"
        raise UndecodableError(msg)
    if event.status != ANSWERED:
        # An error has a text and no rows; who failed is in the annotations.
        return _half(event, {}, "", [])
    try:
        body = orjson.loads(event.body)
    except orjson.JSONDecodeError as error:
        msg = f"the body is not JSON: {error}"
        raise UndecodableError(msg) from error
    if not isinstance(body, dict):
        raise UndecodableError("the body is JSON, but no object")
    if holds_nul(body, event.body):
        raise UndecodableError("a text holds the character NUL, which PostgreSQL does not store")
    protocol, rows = readers[event.kind](body)
    return _half(event, body, protocol, rows)


def _half(event: Event, body: Mapping[str, Any], protocol: str, rows: list[Any]) -> Half:
    return Half(
        id=event.id,
        kind=event.kind,
        service=event.service,
        namespace=event.namespace,
        identity=_identity(event, body),
        protocol=protocol,
        at=event.at,
        rows=rows,
        status=event.status,
    )


def _identity(event: Event, body: Mapping[str, Any]) -> dict[str, str]:
    """What the server says of itself counts; its annotations only where it says nothing."""
    if event.kind == "response":
        parameters = body.get("parameters")
        for place in (body, parameters if isinstance(parameters, dict) else {}):
            if any(place.get(field) for field in ("run_id", "digest")):
                return {name: str(place.get(field) or "") for name, field in IDENTITY.items()}
    names = {"model": "model-name", "version": "model-version", "run_id": "run-id", "digest": "digest"}
    annotated = {name: event.annotations.get(f"{ANNOTATION}/{key}", "") for name, key in names.items()}
    if event.kind == "response" and not any(annotated.values()):
        # Other servers of the v2 protocol say at least this.
        annotated |= {name: str(body.get(IDENTITY[name]) or "") for name in ("model", "version")}
    return annotated


def _request(body: Mapping[str, Any]) -> tuple[str, list[Any]]:
    inputs = body.get("inputs")
    if "instances" not in body and _are_tensors(inputs):
        columns = [_column(tensor) for tensor in inputs]
        if len(columns) == 1 and columns[0][2]:
            # One matrix holds all columns, in order and without names.
            return "v2", columns[0][1]
        return "v2", _rows({name: values for name, values, _ in columns})
    rows = body.get("instances", inputs)
    if not isinstance(rows, list):
        raise UndecodableError('a request, but neither {"instances": [row, …]} nor {"inputs": [tensor, …]}')
    return "v1", [row if isinstance(row, dict | list) else [row] for row in rows]


def _answer(body: Mapping[str, Any]) -> tuple[str, list[Any]]:
    outputs = body.get("outputs")
    if "predictions" not in body and _are_tensors(outputs):
        columns = [_column(tensor) for tensor in outputs]
        if len(columns) == 1 and columns[0][0] == SINGLE:
            return "v2", columns[0][1]
        return "v2", _rows({name: values for name, values, _ in columns})
    rows = body.get("predictions")
    if isinstance(rows, dict):
        rows = _rows({name: values if isinstance(values, list) else [values] for name, values in rows.items()})
    if not isinstance(rows, list):
        raise UndecodableError('an answer, but neither {"predictions": [row, …]} nor {"outputs": [tensor, …]}')
    return "v1", rows


def _are_tensors(found: Any) -> TypeGuard[list[dict[str, Any]]]:
    return (
        isinstance(found, list)
        and bool(found)
        and all(isinstance(tensor, dict) and {"name", "shape"} <= tensor.keys() for tensor in found)
    )


def _column(tensor: Mapping[str, Any]) -> tuple[str, list[Any], bool]:
    """Return name and rows of a tensor, and whether a row is a list of more than one value."""
    name, shape, data = str(tensor["name"]), tensor["shape"], tensor.get("data")
    if not isinstance(data, list):
        msg = f"tensor {name}: its data are binary, or missing; only JSON can be logged"
        raise UndecodableError(msg)
    if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
        msg = f"tensor {name}: shape is {shape}, wanted a list of whole numbers"
        raise UndecodableError(msg)
    values = _flat(data)
    if len(values) != math.prod(shape):
        msg = f"tensor {name}: {len(values)} values do not fit shape {shape}"
        raise UndecodableError(msg)
    rows = shape[0] if shape else 1
    width = len(values) // rows if rows else 0
    if width == 1:
        return name, values, False
    return name, [values[start : start + width] for start in range(0, len(values), width)] if width else [], True


def _flat(data: list[Any]) -> list[Any]:
    while any(isinstance(item, list) for item in data):
        data = [inner for item in data for inner in (item if isinstance(item, list) else [item])]
    return data


def _rows(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        msg = f"columns differ in length: {', '.join(f'{name} {length}' for name, length in lengths.items())}"
        raise UndecodableError(msg)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
