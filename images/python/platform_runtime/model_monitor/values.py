"""One way to read the values of a column, whether they come from a training frame or out of logged JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["MISSING", "UNREADABLE", "codes", "numbers", "text", "texts"]

MISSING, UNREADABLE = -1, -2
"""What `codes` says of a value that is not there, and of one that is a list or a mapping."""

LONGEST = 200
"""Characters of a text that count: a category is a word and not an essay."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]


def text(value: Any) -> str:
    """Return how a category, class or group is called: 1, 1.0 and True are the same one, as JSON has one number."""
    if isinstance(value, str):
        return value[:LONGEST]
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)[:LONGEST]


def numbers(column: pd.Series[Any]) -> tuple[Floats, int, int]:
    """Return the values as numbers (NaN where there is none), how many are missing and how many are no numbers."""
    missing = int(column.isna().sum())
    if not pd.api.types.is_numeric_dtype(column):
        column = column.map(lambda value: None if isinstance(value, list | dict) else value)
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return values, missing, int(np.isnan(values).sum()) - missing


def texts(column: pd.Series[Any]) -> tuple[Integers, list[str]]:
    """Return the number of each value's text, or MISSING or UNREADABLE, and the texts."""
    if not pd.api.types.is_numeric_dtype(column):
        unreadable = column.map(lambda value: isinstance(value, list | dict)).to_numpy(dtype=bool)
        column = column.where(~unreadable, None)
    else:
        unreadable = np.zeros(len(column), dtype=bool)
    # Objects, so that one missing value does not turn whole numbers that are large into others.
    found, values = pd.factorize(column)
    names: dict[str, int] = {}
    renamed = np.array([names.setdefault(text(value), len(names)) for value in values], dtype=np.int64)
    numbered = np.full(len(column), MISSING, dtype=np.int64)
    there = found >= 0
    numbered[there] = renamed[found[there]]
    numbered[unreadable] = UNREADABLE
    return numbered, list(names)


def codes(column: pd.Series[Any], known: tuple[str, ...]) -> Integers:
    """Return each value's place in `known`, `len(known)` for any other value, MISSING or UNREADABLE."""
    numbered, names = texts(column)
    places = {name: place for place, name in enumerate(known)}
    translate = np.array([*(places.get(name, len(known)) for name in names), UNREADABLE, MISSING], dtype=np.int64)
    return translate[numbered]
