"""Between what a request carries and what a model wants: inputs become what the model's signature says.

JSON has one kind of number and no dates, and MLflow refuses an integer where the signature says double.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import DataType, Schema, TensorSpec

__all__ = ["ConversionError", "Tensor", "from_rows", "from_tensors", "to_rows", "to_tensors"]

Tensor = tuple[str, "np.ndarray[Any, Any]"]
"""Name and values."""

_WHOLE = {DataType.integer: np.int32, DataType.long: np.int64}
_BROKEN = {DataType.float: np.float32, DataType.double: np.float64}


class ConversionError(ValueError):
    """The input does not fit the model's signature. The text names the column."""


def from_rows(rows: Any, signature: ModelSignature | None) -> Any:
    """Return the model's input for the rows of a v1 request: mappings, or sequences in the signature's order."""
    schema = signature.inputs if signature else None
    if schema is not None and schema.is_tensor_spec():
        return _tensors_by_rows(rows, schema)
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        msg = "instances: wanted a list of at least one row"
        raise ConversionError(msg)
    if all(isinstance(row, Mapping) for row in rows):
        return _typed(pd.DataFrame.from_records(list(rows)), schema)
    if any(isinstance(row, Mapping) for row in rows):
        msg = "instances: some rows have names and some have not"
        raise ConversionError(msg)
    try:
        matrix = np.array(rows, dtype=object)
    except ValueError as error:
        msg = f"instances: rows differ in length ({error})"
        raise ConversionError(msg) from error
    return _typed(_named(matrix.reshape(len(rows), -1), schema), schema)


def from_tensors(tensors: Sequence[Tensor], signature: ModelSignature | None) -> Any:
    """Return the model's input for the tensors of a v2 request: one per column, or one matrix in order."""
    schema = signature.inputs if signature else None
    tensors = [(name, _texts(values)) for name, values in tensors]
    if schema is not None and schema.is_tensor_spec():
        return _tensors_by_name(tensors, schema)
    if len(tensors) == 1 and tensors[0][1].ndim > 1 and not _is_one_column(tensors[0], schema):
        matrix = tensors[0][1]
        return _typed(_named(matrix.reshape(matrix.shape[0], -1), schema), schema)
    lengths = {name: values.shape[0] if values.ndim else 1 for name, values in tensors}
    if len(set(lengths.values())) > 1:
        msg = f"inputs differ in length: {', '.join(f'{name} {length}' for name, length in lengths.items())}"
        raise ConversionError(msg)
    columns = {name: list(values.reshape(lengths[name], -1)[:, 0]) for name, values in tensors}
    return _typed(pd.DataFrame(columns), schema)


def to_rows(answer: Any) -> list[Any]:
    """Return the model's answer as one JSON value per row."""
    if isinstance(answer, pd.DataFrame):
        return [{str(key): _plain(value) for key, value in row.items()} for row in answer.to_dict(orient="records")]
    if isinstance(answer, Mapping):
        columns = {str(key): to_rows(value) for key, value in answer.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if isinstance(answer, pd.Series):
        answer = answer.to_numpy()
    if isinstance(answer, np.ndarray):
        return list(answer.tolist()) if answer.ndim else [answer.item()]
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return [_plain(value) for value in answer]
    return [_plain(answer)]


def to_tensors(answer: Any) -> list[Tensor]:
    """Return the model's answer as tensors: one per column of a frame, else one called `predictions`."""
    if isinstance(answer, pd.DataFrame):
        return [(str(name), _dense(answer[name].to_numpy())) for name in answer.columns]
    if isinstance(answer, Mapping):
        return [(str(name), _dense(np.asarray(values))) for name, values in answer.items()]
    return [("predictions", _dense(np.asarray(answer)))]


def _named(matrix: np.ndarray[Any, Any], schema: Schema | None) -> pd.DataFrame:
    if schema is None or not schema.has_input_names():
        return pd.DataFrame(matrix)
    names = schema.input_names()
    if matrix.shape[1] != len(names):
        msg = f"rows have {matrix.shape[1]} values, the model wants {len(names)}: {', '.join(names)}"
        raise ConversionError(msg)
    return pd.DataFrame(matrix, columns=names)


def _typed(frame: pd.DataFrame, schema: Schema | None) -> Any:
    if schema is None:
        return frame.infer_objects()
    if not schema.has_input_names():
        types = schema.input_types()
        if frame.shape[1] != len(types):
            msg = f"rows have {frame.shape[1]} values, the model wants {len(types)}"
            raise ConversionError(msg)
        return pd.DataFrame({key: _column(frame[key], kind, str(key)) for key, kind in zip(frame, types, strict=True)})
    optional = set(schema.optional_input_names())
    missing = [name for name in schema.input_names() if name not in frame.columns and name not in optional]
    if missing:
        msg = f"the model wants {', '.join(missing)}, which the request does not have"
        raise ConversionError(msg)
    return pd.DataFrame(
        {
            spec.name: _column(frame[spec.name], spec.type, spec.name)
            for spec in schema.inputs
            if spec.name in frame.columns
        }
    )


def _column(values: pd.Series[Any], kind: Any, name: str) -> pd.Series[Any]:
    try:
        return _cast(values, kind)
    except (ValueError, TypeError, OverflowError) as error:
        msg = f"{name}: cannot be read as {getattr(kind, 'name', kind)} ({error})"
        raise ConversionError(msg) from error


def _cast(values: pd.Series[Any], kind: Any) -> pd.Series[Any]:
    """Return `values` as the type of a signature; other types (arrays, objects) stay as they are."""
    if kind in _BROKEN:
        return values.astype(_BROKEN[kind])
    if kind in _WHOLE:
        return _whole(values, _WHOLE[kind])
    casts: dict[Any, Callable[[pd.Series[Any]], pd.Series[Any]]] = {
        DataType.boolean: _boolean,
        DataType.string: lambda found: found.map(lambda value: None if value is None else str(value)).astype(object),
        DataType.datetime: pd.to_datetime,
        DataType.binary: lambda found: found.map(lambda value: base64.b64decode(value, validate=True)),
    }
    return casts[kind](values) if kind in casts else values


def _whole(values: pd.Series[Any], kind: Any) -> pd.Series[Any]:
    exact = pd.to_numeric(values)
    whole = exact.astype(kind)
    if not (whole == exact).all():
        msg = f"{exact[whole != exact].iloc[0]} is not a whole number that fits"
        raise ValueError(msg)
    return whole


def _boolean(values: pd.Series[Any]) -> pd.Series[Any]:
    wrong = [value for value in values if value not in {True, False}]
    if wrong:
        msg = f"{wrong[0]!r} is neither true nor false"
        raise ValueError(msg)
    return values.astype(bool)


def _tensors_by_rows(rows: Any, schema: Schema) -> Any:
    if schema.has_input_names():
        if not isinstance(rows, Sequence) or not all(isinstance(row, Mapping) for row in rows):
            msg = f"instances: wanted rows with {', '.join(schema.input_names())}"
            raise ConversionError(msg)
        return {spec.name: _tensor([row.get(spec.name) for row in rows], spec) for spec in schema.inputs}
    return _tensor(rows, schema.inputs[0])


def _tensors_by_name(tensors: Sequence[Tensor], schema: Schema) -> Any:
    if not schema.has_input_names():
        return _tensor(tensors[0][1], schema.inputs[0])
    found = dict(tensors)
    missing = [name for name in schema.input_names() if name not in found]
    if missing:
        msg = f"the model wants {', '.join(missing)}, which the request does not have"
        raise ConversionError(msg)
    return {spec.name: _tensor(found[spec.name], spec) for spec in schema.inputs}


def _tensor(values: Any, spec: TensorSpec) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(values, dtype=spec.type)
    except (ValueError, TypeError) as error:
        msg = f"{spec.name or 'input'}: cannot be read as {spec.type} ({error})"
        raise ConversionError(msg) from error


def _is_one_column(tensor: Tensor, schema: Schema | None) -> bool:
    name, values = tensor
    return (
        values.shape[-1] == 1
        and schema is not None
        and bool(schema.has_input_names())
        and schema.input_names() == [name]
    )


def _texts(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return `values` with bytes, which is what the protocol calls texts, as texts."""
    if values.dtype != object:
        return values
    plain = [value.decode() if isinstance(value, bytes) else value for value in values.reshape(-1)]
    texts = np.empty(len(plain), dtype=object)
    texts[:] = plain
    return texts.reshape(values.shape)


def _dense(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return `values` in a type that the protocol has a name for."""
    values = np.atleast_1d(values)
    if values.dtype.kind in "OUSM":
        texts = np.empty(values.size, dtype=object)
        texts[:] = [str(value) for value in values.reshape(-1)]
        return texts.reshape(values.shape)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value
